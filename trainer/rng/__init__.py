"""Random numbers as a pure function of (seed, stream, index)."""
