"""The command line, the one package that imports typer."""


def program() -> None:
    """Run the command line, then exit this process: with 128 plus the signal's number where a signal stopped it."""
    from sweeper.signals import StoppedError, end_process, stoppable

    try:
        with stoppable():  # from the first line on; a run prints a longer message of its own
            main()
    except StoppedError as stop:
        end_process(_interrupted(stop.number))
    except SystemExit as ended:
        # Typer exits with 130 whatever the signal. A command that caught the signal has reported it and set its code.
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
    from sweeper.import_path import keep_folder_out

    keep_folder_out()
    from sweeper.cli.app import main as run

    run()
