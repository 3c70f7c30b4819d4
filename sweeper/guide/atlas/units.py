"""Values of knobs in units that are comparable across scopes, and the ranges in which an atlas compares them.

A block is a share of the depth, tau a multiple of the median pairwise distance, lambda the largest share of the
training loss that the weighted loss could remove, or the ratio of the two losses' gradients where a study recorded it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from typing import NamedTuple

from sweeper.guide.atlas.schema import LambdaUnit
from sweeper.study.knobs import DISTANCE, FEATURES, TAU_UNITS
from trainer.recipe import Dispersion

GRADIENT_RATIO = "gradient_ratio"  # as a record has it, where a study measured it
THIRDS = ("first third", "middle third", "last third")
SEVERAL, ALL = "several blocks", "all blocks"


class Ranges(NamedTuple):
    """Ranges of a positive number between `ends`, and how each is called."""

    ends: tuple[float, ...]
    names: tuple[str, ...]

    def name(self, value: float) -> str:
        """The range a value lies in."""
        return self.names[bisect_right(self.ends, value)]


TAU = Ranges(
    (0.1, 0.4, 1.6, 6.4),
    ("below 0.1", "0.1 to 0.4", "0.4 to 1.6", "1.6 to 6.4", "above 6.4"),
)
LAMBDA = Ranges(
    (0.001, 0.01, 0.1, 1.0),
    ("below 0.001", "0.001 to 0.01", "0.01 to 0.1", "0.1 to 1", "above 1"),
)
BLOCK_ORDER = (*THIRDS, SEVERAL, ALL)
# The loss in mean distances is another loss: it does not change when features grow, and large weights of it do less.
RELATIVE = " with tau relative"
LAMBDA_ORDER = (*LAMBDA.names, *(f"{name}{RELATIVE}" for name in LAMBDA.names))
UNITS = {"block": "share of the depth", "tau": "median pairwise distances of the baseline"}
LAMBDA_UNITS: Mapping[LambdaUnit, str] = {
    "gradient ratio": "gradient norm of the weighted Dispersive Loss over the training loss's, next to the baseline",
    "loss ratio": "lambda times the span of the loss, over the baseline's training loss",
}


def lambda_range(weight: float, setting: Dispersion) -> str:
    """Name the range of a lambda's weight, for either form of the loss by itself.

    >>> lambda_range(0.05, Dispersion()), lambda_range(0.05, Dispersion(tau_units="relative"))
    ('0.01 to 0.1', '0.01 to 0.1 with tau relative')
    """
    return f"{LAMBDA.name(weight)}{'' if setting.tau_units == TAU_UNITS.usual else RELATIVE}"


def block_range(blocks: tuple[int, ...], depth: int) -> str:
    """Name the part of the network that blocks lie in; block i is at (i + 1/2) / depth.

    >>> block_range((0,), 4), block_range((3,), 4), block_range((2, 3), 4)
    ('first third', 'last third', 'several blocks')
    """
    if len(blocks) > 1:
        return ALL if len(blocks) == depth else SEVERAL
    return THIRDS[min(2, int(3 * (blocks[0] + 0.5) / depth))]


def in_distances(setting: Dispersion, distances: tuple[float | None, ...]) -> float | None:
    """Return tau in median pairwise distances, the geometric mean over the blocks; None where that is not known.

    The batch's mean distance, in which `tau_units: relative` has tau, is taken for its median.
    """
    if setting.variant != "l2" or setting.features != FEATURES.usual:
        return None
    if setting.tau_units != "absolute":
        return setting.tau
    if setting.distance != DISTANCE.usual:
        return None
    known = [distances[block] if block < len(distances) else None for block in setting.blocks]
    product = 1.0
    for one in known:
        if not one:
            return None
        product *= setting.tau / one
    return float(product ** (1 / len(known)))
