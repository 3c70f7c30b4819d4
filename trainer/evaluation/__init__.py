"""Metrics of samples and of held-out images."""
