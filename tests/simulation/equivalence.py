"""Is it harmless? How often settings are shown to be equivalent to lambda 0, and how often wrongly, and for what.

`python -m tests.simulation.equivalence --studies 1000` draws differences of three settings to lambda 0 on fresh seeds
and judges them as a guide does: after a number of seeds, in looks, and in looks that go on for equivalence
(`confirm.equivalence`). A minute on one core; the markdown goes to standard output.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from sweeper.statistics.error_budget import OBJECTIVE_ALPHA
from sweeper.statistics.look_families import equivalence_of
from sweeper.statistics.looks import Judging, PairedInLooks, endings
from sweeper.statistics.screen_noise import Prior
from tests.simulation.worlds import Array

ARMS, MARGIN = 3, 0.05
TO_12, TO_20 = (3, 5, 8, 12), (3, 5, 8, 12, 20)
WITHIN = equivalence_of(MARGIN, ARMS)


class Row(NamedTuple):
    """A true change (log) of all settings, and the standard deviation of a difference."""

    effect: float
    sd: float


class Found(NamedTuple):
    """Settings called equivalent as a share of all, studies with at least one, and trials of settings and lambda 0."""

    arms: float
    studies: float
    trials: float


ROWS = tuple(Row(effect, sd) for effect in (0.0, 0.02, WITHIN.margin) for sd in (0.02, 0.03, 0.05))
WAYS = {
    "5 seeds": Judging((5,)),
    "12 seeds": Judging((12,)),
    "looks to 12": Judging(TO_12),
    "looks to 12, equivalence": Judging(TO_12, equivalence=WITHIN),
    "looks to 20, equivalence": Judging(TO_20, equivalence=WITHIN),
}


def found(row: Row, judging: Judging, studies: int, seed: int = 0) -> Found:
    """Judge so many studies; the screen says how noisy differences are, and saw each setting on a random side."""
    judging = judging._replace(prior=Prior(row.sd, 60, 3, 0.0))
    rng, arms, hit, trials = np.random.default_rng([seed, *judging.looks]), 0, 0, 0
    for _ in range(studies):
        difference_KS = row.effect + row.sd * rng.standard_normal((ARMS, judging.looks[-1]))
        sides = [("lower", "higher")[side] for side in rng.integers(2, size=ARMS)]
        ended = endings(difference_KS, sides, judging, OBJECTIVE_ALPHA)
        shown = sum(_is_equivalent(own[: one.look], judging) for own, one in zip(difference_KS, ended, strict=True))
        arms, hit = arms + shown, hit + bool(shown)
        trials += sum(one.look for one in ended) + max(one.look for one in ended)
    return Found(arms / (studies * ARMS), hit / studies, trials / studies)


def _is_equivalent(difference_S: Array, judging: Judging) -> bool:
    return PairedInLooks(difference_S, judging.looks, judging.prior).equivalence(WITHIN.margin) <= WITHIN.alpha


def table(studies: int) -> Iterator[str]:
    """Yield a markdown table: a row a world, a column a way of judging."""
    yield "| true change, sd of a difference | " + " | ".join(WAYS) + " |"
    yield "|---" * (len(WAYS) + 1) + "|"
    for row in ROWS:
        cells = [found(row, judging, studies) for judging in WAYS.values()]
        figures = " | ".join(f"{100 * one.arms:.1f} % ({100 * one.studies:.1f} %), {one.trials:.0f}" for one in cells)
        yield f"| {100 * math.expm1(row.effect):+.1f} %, {100 * row.sd:.0f} % | {figures} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=1000)
    for line in table(parser.parse_args().studies):
        print(line, flush=True)


if __name__ == "__main__":
    main()
