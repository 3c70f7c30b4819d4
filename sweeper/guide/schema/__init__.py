"""The schema of guide.json: frozen models of plain values."""
