"""The confirm stage alone, before and after: false claims, power and trials, judged once or in looks.

`python -m tests.simulation.looks --studies 1000` draws a screen and fresh seeds of the worlds of `worlds.py`, takes the
three best of the screen and judges them: by plain t-tests as before (Holm at 3.5 %), and by `endings`. Minutes on one
core, where `make simulate` makes whole guides and takes hours. The markdown goes to standard output.
"""

from __future__ import annotations

import argparse
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from sweeper.statistics.error_budget import OBJECTIVE_ALPHA
from sweeper.statistics.looks import Judging, endings, prior_of_screen
from sweeper.statistics.paired_tests import Paired, holm
from tests.simulation import simulate
from tests.simulation.worlds import NOISES, POWER, SCREEN_SEEDS, SETTINGS, UNEVEN, Array, Scenario, noise, world
from trainer.recipe import Better

TOP = 3
JUDGED: dict[str, tuple[int, ...]] = {
    "3": (3,), "5": (5,), "8": (8,), "looks to 12": (3, 5, 8, 12), "looks to 20": (3, 5, 8, 12, 20),
}  # fmt: skip


class Study(NamedTuple):
    """What a screen said, and the differences of its three best to the baseline on 20 fresh seeds, [3, 20]."""

    screen_CS: Array
    baseline_S: Array
    directions: list[Better]
    difference_KS: Array
    effect_K: Array


def study(scenario: Scenario, number: int, further: int = 0) -> Study:
    """Draw a study; where one setting is better, the screen found it: what is asked is whether it is confirmed.

    Lambda 0 has so many `further` seeds of its own in the screen.
    """
    rng = np.random.default_rng([zlib.crc32(repr(scenario).encode()), number])
    truth = world(scenario, rng)
    screen_CS, fresh_CS = (
        truth.effect_C[:, None] + noise(scenario.noise, truth.sd_C, seeds, rng)
        for seeds in (SCREEN_SEEDS + further, 20)
    )
    mean_C = screen_CS[:, :SCREEN_SEEDS].mean(axis=1)
    screen_CS[1:, SCREEN_SEEDS:] = np.nan
    order = np.argsort(np.where(truth.effect_C < 0, -np.inf, mean_C)[1 : SETTINGS + 1]) + 1
    best = order[:TOP]
    directions: list[Better] = ["lower" if mean_C[c] < mean_C[0] else "higher" for c in best]
    return Study(
        screen_CS[1 : SETTINGS + 1], screen_CS[0], directions, fresh_CS[best] - fresh_CS[0], truth.effect_C[best]
    )


def before(drawn: Study, seeds: int) -> list[bool]:
    """Return which arms plain one-sided t-tests with Holm's correction confirm."""
    raw = [Paired(own[:seeds]).p_value(side) for own, side in zip(drawn.difference_KS, drawn.directions, strict=True)]
    return [p <= OBJECTIVE_ALPHA for p in holm(raw)]


def figures(scenario: Scenario, studies: int, further: int = 0) -> Counter[str]:
    """Count false claims and true ones, and add up trials of finalists and baseline."""
    total: Counter[str] = Counter()
    for number in range(studies):
        drawn = study(scenario, number, further)
        prior = prior_of_screen(drawn.screen_CS, drawn.baseline_S)
        for name, looks in JUDGED.items():
            judging = Judging(looks, prior)
            found = endings(drawn.difference_KS[:, : looks[-1]], drawn.directions, judging, OBJECTIVE_ALPHA)
            _count(total, name, drawn, [one.state == "confirmed" for one in found])
            total[f"trials {name}"] += sum(one.look for one in found) + max(one.look for one in found)
            if len(looks) == 1:
                _count(total, f"before {name}", drawn, before(drawn, looks[0]))
    return total


def _count(total: Counter[str], name: str, drawn: Study, confirmed: Sequence[bool]) -> None:
    arms = list(zip(confirmed, drawn.directions, drawn.effect_K, strict=True))
    total[f"false {name}"] += any(
        said and (effect >= 0 if side == "lower" else effect <= 0) for said, side, effect in arms
    )
    total[f"found {name}"] += any(said and side == "lower" and effect < 0 for said, side, effect in arms)


def rows(kind: str, scenarios: Sequence[Scenario], studies: int, further: int) -> Iterator[str]:
    """Yield a markdown table of what was counted in percent: as it is and, where judged once, before."""
    yield f"| world | {' | '.join(f'{name}: {kind} %' for name in JUDGED)} | trials, looks to 12, to 20 |"
    yield "|---" * (len(JUDGED) + 2) + "|"
    for scenario in scenarios:
        found = figures(scenario, studies, further)
        cells = [_cell(found, kind, name, studies) for name in JUDGED]
        trials = ", ".join(f"{found[f'trials looks to {most}'] / studies:.0f}" for most in (12, 20))
        yield f"| {scenario.surface}, {scenario.noise} | {' | '.join(cells)} | {trials} |"


def _cell(found: Counter[str], kind: str, name: str, studies: int) -> str:
    now = f"{100 * found[f'{kind} {name}'] / studies:.1f}"
    was = f"{kind} before {name}"
    return f"{100 * found[was] / studies:.1f} -> {now}" if was in found else now


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--further", type=int, default=0, help="seeds of the screen that lambda 0 alone has")
    parser.add_argument("--only", default="", help="kinds of noise whose name holds this")
    given = parser.parse_args()
    simulate.begin()
    null = [Scenario("null", kind, 20) for kind in (*NOISES[:-1], *UNEVEN)]
    gains = [Scenario(surface, "normal", 20) for surface in POWER]
    gains += [Scenario(surface, kind, 20) for surface in POWER[1:3] for kind in ("unequal", "skewed", "grows")]
    for kind, scenarios in (("false", null), ("found", gains)):
        wanted = [at for at in scenarios if given.only in at.noise]
        for line in rows(kind, wanted, given.studies, given.further):
            print(line, flush=True)
        print()


if __name__ == "__main__":
    main()
