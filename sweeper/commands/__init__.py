"""The implementation of the commands without typer: a file per command, and what several of them share."""
