"""What a guide holds, as guide.json: frozen and plain."""
