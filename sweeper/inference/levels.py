"""How the chance of a false claim, at most 5 % for a whole guide, is spent.

4 % are given away; the rest is a reserve for noise that no t-test expects (`make simulate` measures what it leaves).
"""

from __future__ import annotations

# Over everything a guide claims about its study together. Settings against the baseline in the objective get most of
# it; other outcomes and control arms share the rest.
OBJECTIVE_ALPHA = 0.035
SIDE_ALPHA = 0.005

# The recommended set misses the best cell with at most this chance in either stage. One single best is named only at
# the stricter level.
SET_ALPHA = 0.02
UNIQUE_ALPHA = 0.004

# What printed intervals miss with, all of a table together.
INTERVAL_ALPHA = 0.05
