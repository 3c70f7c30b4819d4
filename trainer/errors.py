"""What a user's files can do to the trainer."""


class DataError(ValueError):
    """Data or weights that cannot be read or are not what they should be; one line with the remedy."""


class CompilerError(RuntimeError):
    """Code that cannot be compiled on this machine; one line that says why."""
