"""How the chance of a false statement, at most 5 % for a whole guide, is spent; `make simulate` measures what comes."""

from __future__ import annotations

# "Confirmed": settings against the baseline in the objective get most of it; other outcomes and control arms share
# some, and so do settings against control arms. "Equivalent" has a share of its own. The sum stays below 5 %, so that
# the worst of many simulated scenarios does too.
OBJECTIVE_ALPHA = 0.035
SIDE_ALPHA = 0.003
CONTROL_ALPHA = 0.003
EQUIVALENCE_ALPHA = 0.003

# Without a confirmed gain a guide names a setting to bet on; with no effect anywhere it does so at most this often.
BET_ALPHA = 0.10

# The recommended set loses the best cell with at most this chance in either stage, beside a false claim. One single
# best is named at the stricter level only.
SET_ALPHA = 0.0075
UNIQUE_ALPHA = 0.0025

# What printed intervals miss with, all of a table together.
INTERVAL_ALPHA = 0.05
