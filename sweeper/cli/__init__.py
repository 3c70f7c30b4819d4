"""The command line, the one package that imports typer."""


def program() -> None:
    """Run the command line as a process of its own, and end it."""
    from sweeper.signals import end_process

    try:
        main()
    except SystemExit as ended:
        end_process(ended.code if isinstance(ended.code, int) else int(ended.code is not None))
    end_process(0)


def main() -> None:
    """Run the command line; a user's mistake ends in one message and its exit code, never in a traceback."""
    from sweeper.cli.import_path import keep_folder_out

    keep_folder_out()
    from sweeper.cli.app import main as run

    run()
