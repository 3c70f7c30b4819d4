"""What a guide's HTML page has beyond the markdown: maps as tables, and data and script that make it answer."""
