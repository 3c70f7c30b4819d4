"""A guide's pictures."""
