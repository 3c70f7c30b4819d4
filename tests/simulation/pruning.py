"""Simulated screens under the race: how often the truly best cell is stopped, and how much is saved.

`python -m tests.simulation.pruning --studies N` prints a markdown table. Nothing of the race is written again here:
whole batches of studies go to `race.behind`, which `eliminated` judges with; a test replays studies one by one through
`Pruning` and holds the two equal. Two slots take the next two trials of a seed block, report every rung
together, and go on when both have ended. A diverged trial has no value from then on and is not a stopped one.
"""

from __future__ import annotations

import argparse
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import beta

from sweeper.search import race
from tests.simulation.pruning_worlds import SEEDS, Crossing, Scenario, Studies, draw, scenarios

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
SLOTS = 2
BATCH = 500
BARS: dict[Crossing, float] = {"none": 0.03, "moderate": 0.03, "strong": 0.10}
# What may be added to a bar for the upper 95 % limit of a simulated share.
ALLOWANCE = 0.01
COLUMNS = (
    *("crossing", "surface", "noise", "sd", "grid", "rungs", "best cell stopped, % (95 % limit)", "cells stopped, %"),
    *("steps saved, %", "bad cells stopped, %", "their steps saved, %"),
)
# Clearly bad: so far above the best in log FID.
BAD = 1.0


class PruningRow(NamedTuple):
    """What the race did in a scenario. Shares of studies, of cells and of the steps an unpruned screen would take.

    `best_stopped`: the truly best cell beside the baseline was stopped; where all are equal, all of them were.
    `bad_stopped` and `bad_saved`: among cells at least BAD behind the best, the share stopped and of steps saved; NaN
    where there are none.
    """

    scenario: Scenario
    studies: int
    best_stopped: float
    cells_stopped: float
    saved: float
    bad_stopped: float
    bad_saved: float

    @property
    def upper(self) -> float:
        """Upper 95 % limit of `best_stopped` (Clopper and Pearson), given how many studies were simulated."""
        deaths = round(self.best_stopped * self.studies)
        return float(beta.ppf(0.95, deaths + 1, self.studies - deaths)) if deaths < self.studies else 1.0

    @property
    def holds(self) -> bool:
        """Whether the best cell is stopped as rarely as the project promises; without differences, any cell is."""
        bar = BARS[self.scenario.crossing]
        return self.upper <= bar + ALLOWANCE and (self.scenario.surface != "null" or self.cells_stopped <= bar)


class Outcome(NamedTuple):
    """Who was stopped, and the share of the budget every trial used."""

    stopped_NC: Mask
    used_NCS: Array


def waves(configurations: int) -> Iterator[tuple[int, range]]:
    """Yield what the slots train together: a seed and its next configurations, seed block by seed block."""
    for seed in range(SEEDS):
        for first in range(0, configurations, SLOTS):
            yield seed, range(first, min(first + SLOTS, configurations))


def run(studies: Studies, rungs: Sequence[float]) -> Outcome:
    """Run all studies of a batch side by side, judging whenever the slots have reported a rung."""
    y_NRCS = studies.y_NRCS
    count, _, configurations, _ = y_NRCS.shape
    judged = sum(r < race.HALF for r in rungs)
    seen_NRCS = np.full(y_NRCS.shape, np.nan)
    stopped_NC, used_NCS = np.zeros((count, configurations), bool), np.zeros((count, configurations, SEEDS))
    for seed, wave in waves(configurations):
        # Like `eliminated`, leave out what nobody has reached.
        reached = slice(None) if seed else slice(0, max(wave.stop, 3))
        going = {c: ~stopped_NC[:, c] for c in wave}
        for rung, share in enumerate(rungs):
            for c in wave:
                used_NCS[going[c], c, seed] = share
                seen_NRCS[going[c], rung, c, seed] = y_NRCS[going[c], rung, c, seed]
            if rung >= judged:
                stopped_NC[:, reached] |= race.behind(seen_NRCS[:, judged:, reached, : seed + 1])
                stopped_NC[:, 0] = False
            going = {c: going[c] & ~stopped_NC[:, c] & np.isfinite(y_NRCS[:, rung, c, seed]) for c in wave}
    return Outcome(stopped_NC, used_NCS)


def simulate(scenario: Scenario, studies: int, seed: int) -> PruningRow:
    """Run this many studies of a scenario; the draw depends on the scenario and the seed alone."""
    rng = np.random.default_rng([seed, zlib.crc32(repr(scenario).encode())])
    parts = []
    for first in range(0, studies, BATCH):
        drawn = draw(scenario, min(BATCH, studies - first), rng)
        parts.append((drawn, run(drawn, scenario.rungs), run_unpruned(drawn, scenario.rungs)))
    effect = np.concatenate([drawn.effect_NC for drawn, _, _ in parts])[:, 1:]
    stopped = np.concatenate([outcome.stopped_NC for _, outcome, _ in parts])[:, 1:]
    used = np.concatenate([outcome.used_NCS for _, outcome, _ in parts])
    whole = np.concatenate([whole for _, _, whole in parts])
    best = effect == effect.min(axis=1, keepdims=True)
    bad = effect >= effect.min(axis=1, keepdims=True) + BAD
    bad_whole = whole[:, 1:][bad].sum()
    return PruningRow(
        scenario,
        studies,
        best_stopped=float((stopped | ~best).all(axis=1).mean()),
        cells_stopped=float(stopped.mean()),
        saved=float(1 - used.sum() / whole.sum()),
        bad_stopped=float(stopped[bad].mean()) if bad.any() else float("nan"),
        bad_saved=float(1 - used[:, 1:][bad].sum() / bad_whole) if bad.any() else float("nan"),
    )


def run_unpruned(studies: Studies, rungs: Sequence[float]) -> Array:
    """Return the share of the budget every trial uses where nothing is stopped: up to where it has diverged."""
    finite_NRCS = np.isfinite(studies.y_NRCS)
    used = np.where(finite_NRCS.all(axis=1), 1.0, 0.0)
    for rung in reversed(range(len(rungs))):
        used = np.where(~finite_NRCS[:, rung], rungs[rung], used)
    return used


def pruning_rows(studies: int, seed: int) -> list[PruningRow]:
    """Simulate every scenario."""
    return [simulate(scenario, studies, seed) for scenario in scenarios()]


def markdown(rows: Iterable[PruningRow]) -> str:
    """Lay rows out as a table in per cent, with a mark where a bar is missed."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    for row in rows:
        at = row.scenario
        named = (
            at.crossing,
            at.surface,
            at.noise,
            f"{at.sd:g}",
            "x".join(map(str, at.grid)),
            ", ".join(f"{r:g}" for r in at.rungs),
        )
        best = f"{100 * row.best_stopped:.1f} ({100 * row.upper:.1f})" + ("" if row.holds else " MISSED")
        shares = (row.cells_stopped, row.saved, row.bad_stopped, row.bad_saved)
        told = ["-" if np.isnan(share) else f"{100 * share:.1f}" for share in shares]
        lines.append("| " + " | ".join([*named, best, *told]) + " |")
    return "\n".join(lines)


def main() -> None:
    """Print the table of all scenarios."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--studies", type=int, default=4000, help="studies a scenario")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    began = time.perf_counter()
    rows = pruning_rows(given.studies, given.seed)
    print(markdown(rows))
    print(f"\n{len(rows)} scenarios x {given.studies} studies, {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
