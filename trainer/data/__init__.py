"""Data sets as tensors, from files and packages."""
