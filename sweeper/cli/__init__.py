"""The command line, the one package that imports typer."""

from sweeper.cli.commands import main

__all__ = ["main"]
