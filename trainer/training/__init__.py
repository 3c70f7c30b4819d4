"""Cohorts: lanes of one recipe trained together as one program."""
