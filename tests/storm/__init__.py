"""Storms: many damaged inputs, or many kills, at once."""
