"""What is random, as a pure function of (seed, stream, index)."""
