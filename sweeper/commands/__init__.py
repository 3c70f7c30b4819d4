"""What each command does, a file a command; no typer in here."""
