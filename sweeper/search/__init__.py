"""The search: which trials run and which stop, decided on an Optuna study that one process owns.

The only package that imports optuna; nothing above the coordinator imports it while a command starts.
"""

from sweeper.search.dashboard_notes import name_guide
from sweeper.search.removal import remove_study
from sweeper.search.retried_trials import failures
from sweeper.search.search import Search
from sweeper.search.stored import driver_of, read_note, state_counts, stored_outcomes

__all__ = [
    "Search",
    "driver_of",
    "failures",
    "name_guide",
    "read_note",
    "remove_study",
    "state_counts",
    "stored_outcomes",
]
