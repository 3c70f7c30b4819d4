"""The command line, the one package that imports typer."""


def program() -> None:
    """Run the command line as a process of its own, and end it: by 128 and its number where a signal stopped it."""
    from sweeper.signals import StoppedError, end_process, stoppable

    try:
        with stoppable():  # from the first line on; a run that has begun says more than this
            main()
    except StoppedError as stop:
        end_process(_interrupted(stop.number))
    except SystemExit as ended:
        # Typer ends by 130 whichever signal it was. A command that caught it has said so, and chose its code itself.
        cause = getattr(ended.__context__, "__cause__", None)
        if isinstance(cause, StoppedError):
            end_process(_interrupted(cause.number))
        end_process(ended.code if isinstance(ended.code, int) else int(ended.code is not None))
    end_process(0)


def _interrupted(number: int) -> int:
    import sys

    print("interrupted", file=sys.stderr)
    return 128 + number


def main() -> None:
    """Run the command line; a user's mistake ends in one message and its exit code, never in a traceback."""
    from sweeper.cli.import_path import keep_folder_out

    keep_folder_out()
    from sweeper.cli.app import main as run

    run()
