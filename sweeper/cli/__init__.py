"""The command line, the one package that imports typer."""


def main() -> None:
    """Run the command line; a user's mistake ends in one message and its exit code, never in a traceback."""
    from sweeper.cli.import_path import keep_folder_out

    keep_folder_out()
    from sweeper.cli.app import main as run

    run()
