"""Worlds of screens to simulate the race in: true effects, noise and learning curves.

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

import itertools
from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
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
RHO: dict[Crossing, float] = {"none": 1.0, "moderate": 0.8, "strong": 0.4}
LEAST: dict[Crossing, float] = {"none": 0.0, "moderate": 0.5, "strong": 1.0}


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


class Studies(NamedTuple):
    """A batch of studies: final effects by configuration (0 is the baseline), and log FID, NaN once diverged."""

    effect_NC: Array
    y_NRCS: Array


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
