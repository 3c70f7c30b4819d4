"""How a guide's error budget, a false statement in at most 5 %, is split; `make simulate` measures the outcome."""

from __future__ import annotations

# "Confirmed": settings against the baseline in the objective get most of it. Control arms in the objective, other
# outcomes, settings against control arms, and "equivalent" in the objective and in other outcomes are five families
# more. The sum is 5 %.
OBJECTIVE_ALPHA = 0.035
CONTROL_ALPHA = 0.003
SIDE_ALPHA = 0.003
AGAINST_ALPHA = 0.003
EQUIVALENCE_ALPHA = 0.0045
SIDE_EQUIVALENCE_ALPHA = 0.0015

# Without a confirmed gain a guide names a setting to bet on; with no effect anywhere it does so at most this often.
BET_ALPHA = 0.10

# The recommended set loses the best cell with at most this chance in either stage, beside a false claim. One single
# best is named at the stricter level only.
SET_ALPHA = 0.0075
UNIQUE_ALPHA = 0.0025

# Fewer differences over fresh seeds make no claim, for they know next to nothing of their noise.
FEWEST_SEEDS = 3

# The chance that any printed interval of a table misses.
INTERVAL_ALPHA = 0.05
