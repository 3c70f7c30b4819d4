"""Turns figures and claims into sentences."""
