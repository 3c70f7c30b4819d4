"""A guide's tables, before any format."""
