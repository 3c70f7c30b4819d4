"""Simulated screens under the race: how often the truly best cell is stopped, and how much is saved.

`python -m tests.simulation.pruning --studies N` prints a markdown table. Nothing of the race is written again here:
whole batches of studies go to `race.behind`, which `eliminated` judges with; a test replays studies one by one through
`Pruning` and holds the two equal. Two slots take the next two trials of a seed block, report every rung
together, and go on when both have ended. A diverged trial has no value from then on and is not a stopped one.

The world, in log FID, for configuration c, seed s and a rung at the fraction r of the budget:

    y[r, c, s] = place[r, c] + 4 (1 - r) + seed[s] + noise[r, c, s]
    place[r, c] = mean + k (effect[c] - mean) + max(sqrt(1 - k^2) spread, least) cross[r, c],  k = rho^(2 (1 - r))
    noise[r]    = a noise[1] + sqrt(1 - a^2) fresh[r],                                      a = .7^(2 (1 - r))

Mean and spread (standard deviation) are those of the cells' final effects, `cross` is standard normal: learning curves
cross so much that places at half of the budget correlate with the final ones by rho, .8 (moderate) or .4 (strong), and
by at least half (moderate) or one (strong) standard deviation of the noise, `least`; rho is 1 and `least` 0 without
crossing. The correlation of one trial's noise between half and full budget is .7.
"""

from __future__ import annotations

import argparse
import itertools
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import beta

from sweeper.search import race

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Surface = Literal["null", "additive", "interaction", "all better", "all worse", "large spread", "block_temp"]
Noise = Literal["normal", "correlated", "unequal", "noisy baseline", "t3", "diverging"]
Crossing = Literal["none", "moderate", "strong"]

SURFACES: tuple[Surface, ...] = ("null", "additive", "interaction", "all better", "all worse", "large spread")
NOISES: tuple[Noise, ...] = ("normal", "correlated", "unequal", "noisy baseline", "t3", "diverging")
CROSSINGS: tuple[Crossing, ...] = ("moderate", "strong")
SDS = (0.05, 0.12, 0.3)
# Kinds of noise that are simulated at every sd; the others only where the race has the least to go by, at the largest.
AT_EVERY_SD: tuple[Noise, ...] = ("normal", "unequal", "t3")
SEEDS = 3
SLOTS = 2
BATCH = 500
RHO: dict[Crossing, float] = {"none": 1.0, "moderate": 0.8, "strong": 0.4}
LEAST: dict[Crossing, float] = {"none": 0.0, "moderate": 0.5, "strong": 1.0}
BARS: dict[Crossing, float] = {"none": 0.03, "moderate": 0.03, "strong": 0.10}
# What may be added to a bar for the upper 95 % limit of a simulated share.
ALLOWANCE = 0.01
COLUMNS = (
    *("crossing", "surface", "noise", "sd", "grid", "rungs", "best cell stopped, % (95 % limit)", "cells stopped, %"),
    *("steps saved, %", "bad cells stopped, %", "their steps saved, %"),
)
# Clearly bad: so far above the best in log FID.
BAD = 1.0


class Scenario(NamedTuple):
    """A world to simulate studies in: a grid of blocks x taus beside the baseline, noise of `sd` in log FID.

    Surfaces, with the baseline at 0: "null" no differences; "interaction" additive in block and tau (sd/2 each) and as
    much again of neither (sd); "additive" without that, and the best moved 1 to 3 sd below the next; "all better" and
    "all worse" additive, 3 sd below or above the baseline; "large spread" additive, and half of the cells .3 to 1.5
    worse; "block_temp" like its report, 10 to 30 % above the baseline and the last cell 200 %.
    """

    surface: Surface
    noise: Noise
    sd: float
    crossing: Crossing
    grid: tuple[int, int] = (4, 3)
    rungs: tuple[float, ...] = (0.5, 1.0)


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


class Studies(NamedTuple):
    """A batch of studies: final effects by configuration (0 is the baseline), and log FID, NaN once diverged."""

    effect_NC: Array
    y_NRCS: Array


class Outcome(NamedTuple):
    """Who was stopped, and the share of the budget every trial used."""

    stopped_NC: Mask
    used_NCS: Array


def draw(scenario: Scenario, studies: int, rng: np.random.Generator) -> Studies:
    """Draw studies from a scenario's world."""
    effect_NC = _effects(scenario, studies, rng)
    configurations = effect_NC.shape[1]
    noise_RNCS = _noise(scenario, studies, configurations, rng)
    seed_NS = rng.normal(0, 0.1, (studies, 1, SEEDS))
    mean_N, spread_N = effect_NC[:, 1:].mean(1, keepdims=True), effect_NC[:, 1:].std(1, keepdims=True)
    rho, least = RHO[scenario.crossing], LEAST[scenario.crossing] * scenario.sd
    y = []
    for r, noise_NCS in zip(scenario.rungs, noise_RNCS, strict=True):
        k = rho ** (2 * (1 - r))
        cross_NC = rng.normal(size=effect_NC.shape) * np.maximum((1 - k * k) ** 0.5 * spread_N, least) * (r < 1)
        place_NC = mean_N + k * (effect_NC - mean_N) + cross_NC
        y.append(place_NC[..., None] + 4 * (1 - r) + seed_NS + noise_NCS)
    return Studies(effect_NC, np.stack(y, axis=1))


def _effects(scenario: Scenario, studies: int, rng: np.random.Generator) -> Array:
    """Draw final effects: the baseline's 0, then the cells', block by block."""
    (blocks, taus), sd = scenario.grid, scenario.sd
    cells = blocks * taus
    block, tau = rng.normal(0, sd / 2, (studies, blocks, 1)), rng.normal(0, sd / 2, (studies, 1, taus))
    effect = (block + tau).reshape(studies, cells)
    if scenario.surface == "null":
        effect = np.zeros_like(effect)
    elif scenario.surface == "interaction":
        effect = effect + rng.normal(0, sd, effect.shape)
    elif scenario.surface == "additive":
        first, second = np.argmin(effect, axis=1), np.sort(effect, axis=1)[:, 1]
        effect[np.arange(studies), first] = second - rng.uniform(1, 3, studies) * sd
    elif scenario.surface == "large spread":
        bad = rng.permuted(np.tile(np.arange(cells) % 2 == 0, (studies, 1)), axis=1)
        effect = effect + bad * rng.uniform(0.3, 1.5, effect.shape)
    elif scenario.surface == "block_temp":
        effect = rng.uniform(np.log(1.1), np.log(1.3), effect.shape)
        effect[:, -1] = np.log(3)
    shift = {"all better": -3 * sd, "all worse": 3 * sd}.get(scenario.surface, 0.0)
    return np.concatenate([np.zeros((studies, 1)), effect + shift], axis=1)


def _noise(scenario: Scenario, studies: int, configurations: int, rng: np.random.Generator) -> Array:
    """Draw every trial's noise at every rung, NaN from where it diverges."""
    shape = (studies, configurations, SEEDS)

    def standard() -> Array:
        if scenario.noise == "t3":
            return np.asarray(rng.standard_t(3, shape) / 3**0.5)
        if scenario.noise == "correlated":
            common = rng.normal(size=(studies, 1, SEEDS))
            return np.asarray((common + rng.normal(size=shape)) / 2**0.5)
        return rng.normal(size=shape)

    sd = np.full((studies, configurations, 1), scenario.sd)
    if scenario.noise == "unequal":
        sd = scenario.sd * 2 ** rng.uniform(-1, 1, sd.shape)
    elif scenario.noise == "noisy baseline":
        sd[:, 0] *= 2
    final = standard()
    ends = np.where(rng.random(shape) < 0.03, rng.random(shape), np.inf) if scenario.noise == "diverging" else np.inf
    noise = []
    for r in scenario.rungs:
        a = 0.7 ** (2 * (1 - r))
        noise.append(np.where(ends < r, np.nan, sd * (a * final + (1 - a * a) ** 0.5 * standard() * (r < 1))))
    return np.stack(noise)


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


def scenarios() -> Iterator[Scenario]:
    """Yield every scenario of the table: all kinds on the small grid, the hardest on a large one and on three rungs."""
    for crossing, surface, noise, sd in itertools.product(CROSSINGS, SURFACES, NOISES, SDS):
        if noise in AT_EVERY_SD or sd == SDS[-1]:
            yield Scenario(surface, noise, sd, crossing)
    large: tuple[Surface, ...] = ("null", "additive", "all worse", "large spread")
    hard: tuple[tuple[Noise, float], ...] = (("normal", 0.12), ("unequal", 0.3), ("t3", 0.3))
    for crossing, surface, (noise, sd) in itertools.product(CROSSINGS, large, hard):
        yield Scenario(surface, noise, sd, crossing, grid=(6, 5))
    for crossing, surface, rungs in itertools.product(
        CROSSINGS, large[-2:], ((0.25, 0.5, 1.0), (0.5, 0.75, 1.0), (1.0,))
    ):
        yield Scenario(surface, "unequal", 0.3, crossing, rungs=rungs)
    for crossing in CROSSINGS:
        yield Scenario("block_temp", "normal", 0.05, crossing)


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
