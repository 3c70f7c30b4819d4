"""Copies of a study's record for other trackers; MLflow stays the one that a study is kept in."""
