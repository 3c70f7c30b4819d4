"""The parts of a guide's HTML page beyond the markdown: maps as tables, and data and script for interaction."""
