"""What a trial costs on this machine, and whether a study can be trained on it, before it runs."""
