"""Databases that records lie in: files that are whole or not there, and patience with one that is away."""
