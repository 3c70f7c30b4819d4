"""Worlds with a known truth: what every configuration does, and how noisy a trial is.

Everything is in log FID (or the log of another outcome) and unit sd is SD, the noise of one trial. For configuration c
(0 is the baseline, then the grid block by block, last the control arm) and seed s:

    end[c, s]  = level + effect[c] + noise[c, s]
    half[c, s] = level + log 2.2 + .8 effect[c] + .5 SD cross[c] + .7 noise[c, s] + (1 - .7^2)^.5 noise'[c, s]
    noise[c, s] = sd[c] (rho^.5 common[s] + (1 - rho)^.5 own[c, s])

`common` and `own` have mean 0 and variance 1, `cross` is standard normal, noise' is a second draw of noise, so curves
cross moderately and two configurations correlate by rho on a seed. Noise kinds:

    normal        rho .5, sd[c] = SD, all normal; what follows differs from it in one thing
    normal-0      rho 0
    unequal       sd[c] = SD 2^u, u uniform in [-1, 1], drawn once a study
    baseline-2sd  sd[0] = 2 SD
    t3            common and own are Student's t with 3 degrees of freedom, divided by 3^.5
    diverging     3 % of all trials diverge, whatever their effect, after half of their budget

and where noise is not symmetric; effects stay means of the log, and the long tail is on the worse side:

    skewed        settings' own noise is exponential with variance 2, the baseline's own is 0: differences have
                  sd SD and skewness 2
    grows         the same with log-normal noise, whose spread grows with what it does (sigma .7, skewness 2.9)
    bad-runs      15 % of the settings' runs end 2.7 times higher, the rest lower by as much as makes up for it
    bad-baseline  15 % of the baseline's runs do

With 12 or 20 seeds the confirm stage is judged in looks (3, 5, 8, 12, 20), else once after all of its seeds.

Surfaces, in units of SD, drawn anew for every study:

    null             0 everywhere
    half-null        0 in a random half of the settings, the others uniform in [1, 3]
    additive         -3 + 6 (w b + (1 - w) t), b and t even steps from 0 to 1 over blocks and taus in random order,
                     w uniform in [.3, .7]: the best is -3, the worst 3
    interaction      the best tau rises from block to block (or falls); effects grow by 1.2 a tau away from it and by
                     .4 a block away from a random one; stretched to [-3, 3]
    all-better       uniform in [-4, -1]
    all-worse        uniform in [1, 6]
    scale-dependent  all settings of one block gain 3, the others 0; on another scale there is no effect
    scale-stable     the same on both scales
    one-better-g     one setting gains g, the others 0
    control-3        no setting has an effect

Other outcomes have noise of the same kind, independent, sd OUTCOMES; in units of it val_loss is |effect| / 2 worse in
all surfaces that have an effect everywhere (LOADED), recall is effect / 2 lower in all-worse; else nothing changes. The
control arm gains 1.5 in additive and all-better, 3 in control-3, else 0.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Surface = Literal[
    "null", "half-null", "additive", "interaction", "all-better", "all-worse", "scale-dependent",
    "scale-stable", "one-better-1", "one-better-1.5", "one-better-2", "one-better-3",
    "control-3",
]  # fmt: skip
Symmetric = Literal["normal", "normal-0", "unequal", "baseline-2sd", "t3", "diverging"]
Uneven = Literal["skewed", "grows", "bad-runs", "bad-baseline"]
Noise = Symmetric | Uneven

SURFACES: tuple[Surface, ...] = get_args(Surface)
NOISES: tuple[Symmetric, ...] = get_args(Symmetric)
UNEVEN: tuple[Uneven, ...] = get_args(Uneven)
MAIN: tuple[Surface, ...] = SURFACES[:7]
POWER: tuple[Surface, ...] = ("one-better-1", "one-better-2", "one-better-3", "one-better-1.5")
FRESH = (3, 5, 8)
LOOKED = (12, 20)  # most seeds of a confirm stage in looks

BLOCKS, TAUS, SCREEN_SEEDS = 6, 5, 3
SETTINGS = BLOCKS * TAUS
SD = 0.08
HALF_LEVEL, HALF_EFFECT, HALF_CROSS, HALF_NOISE = float(np.log(2.2)), 0.8, 0.5, 0.7
DIVERGED = 0.03
BAD_SHARE, BAD_SIZE, GROWS = 0.15, float(np.log(2.7)) / SD, 0.7
# Other outcomes: a typical value, and the noise of its logarithm.
OUTCOMES = {"val_loss": (0.21, 0.02), "recall_10k": (0.6, 0.05), "nearest_train_ratio": (1.02, 0.03)}
HIGHER_IS_BETTER = ("recall_10k", "nearest_train_ratio")
CONTROL_GAINS: dict[Surface, float] = {"additive": -1.5, "all-better": -1.5, "control-3": -3.0}
LOADED = ("additive", "interaction", "all-better", "all-worse")


class Scenario(NamedTuple):
    """What is simulated in one row of the table: a surface, a kind of noise, and the confirm stage's seeds."""

    surface: Surface
    noise: Noise
    seeds: int

    @property
    def paired(self) -> bool:
        """Whether a second study, on another scale, belongs to it."""
        return self.surface.startswith("scale-")

    @property
    def in_looks(self) -> bool:
        """Whether fresh seeds arrive in looks."""
        return self.seeds in LOOKED


class World(NamedTuple):
    """The truth of one study: log ratios to the baseline in the objective, [C], and in other outcomes, [M, C]."""

    effect_C: Array
    side_MC: Array
    sd_C: Array

    @property
    def choices(self) -> Array:
        """Effects of what can be recommended, [C - 1]: the baseline and the grid, without the control arm."""
        return self.effect_C[:-1]


class Stage(NamedTuple):
    """What a stage would measure if nothing were stopped: log FID at both rungs, other outcomes, who diverges."""

    half_CS: Array
    end_CS: Array
    side_MCS: Array
    diverged_CS: Mask


def world(scenario: Scenario, rng: np.random.Generator, other_scale: bool = False) -> World:
    """Draw the truth of a study; of the second study of a pair with `other_scale`."""
    effect_C = np.zeros(SETTINGS + 2)
    if not (other_scale and scenario.surface == "scale-dependent"):
        effect_C[1:-1] = _surface(scenario.surface, rng)
    effect_C[-1] = CONTROL_GAINS.get(scenario.surface, 0.0)
    side_MC = np.zeros((len(OUTCOMES), SETTINGS + 2))
    if scenario.surface in LOADED:
        side_MC[0] = np.abs(effect_C) / 2
    if scenario.surface == "all-worse":
        side_MC[1] = -effect_C / 2
    scale_M = np.array([sd for _, sd in OUTCOMES.values()])
    sd_C = np.full(SETTINGS + 2, SD)
    if scenario.noise == "unequal":
        sd_C = SD * 2 ** rng.uniform(-1, 1, sd_C.shape)
    elif scenario.noise == "baseline-2sd":
        sd_C[0] *= 2
    return World(SD * effect_C, scale_M[:, None] * side_MC, sd_C)


def _surface(surface: Surface, rng: np.random.Generator) -> Array:
    """Draw the settings' effects in units of SD, block by block."""
    if surface == "half-null":
        return rng.permutation(np.concatenate([np.zeros(SETTINGS // 2), rng.uniform(1, 3, SETTINGS // 2)]))
    if surface == "additive":
        share, block, tau = rng.uniform(0.3, 0.7), *(rng.permutation(np.linspace(0, 1, n)) for n in (BLOCKS, TAUS))
        return (-3 + 6 * (share * block[:, None] + (1 - share) * tau)).ravel()
    if surface == "interaction":
        return _ridge(rng)
    if surface == "all-better":
        return rng.uniform(-4, -1, SETTINGS)
    if surface == "all-worse":
        return rng.uniform(1, 6, SETTINGS)
    effect = np.zeros((BLOCKS, TAUS))
    if surface.startswith("scale-"):
        # The same block on both scales: the middle one, or a pair would need a common draw.
        effect[BLOCKS // 2] = -3
    elif surface.startswith("one-better-"):
        effect.flat[rng.integers(SETTINGS)] = -float(surface.removeprefix("one-better-"))
    return effect.ravel()


def _ridge(rng: np.random.Generator) -> Array:
    best_tau = np.linspace(0, TAUS - 1, BLOCKS)[:: rng.choice([-1, 1])]
    away = np.abs(np.arange(TAUS) - best_tau[:, None]) * 1.2
    along = np.abs(np.arange(BLOCKS) - rng.integers(BLOCKS)) * 0.4
    effect = (away + along[:, None]).ravel()
    return np.asarray(-3 + 6 * (effect - effect.min()) / np.ptp(effect))


def stage(scenario: Scenario, truth: World, seeds: int, rng: np.random.Generator) -> Stage:
    """Draw what a stage of so many seeds would measure, relative to the baseline's true level."""
    noise_CS, again_CS = (noise(scenario.noise, truth.sd_C, seeds, rng) for _ in range(2))
    end_CS = truth.effect_C[:, None] + noise_CS
    cross_C = HALF_CROSS * SD * rng.standard_normal(len(truth.effect_C))
    half_CS = (HALF_LEVEL + HALF_EFFECT * truth.effect_C + cross_C)[:, None]
    half_CS = half_CS + HALF_NOISE * noise_CS + (1 - HALF_NOISE**2) ** 0.5 * again_CS
    # The long tail of noise is on the worse side of every outcome.
    relative = [
        (-sd if name in HIGHER_IS_BETTER else sd) / SD * noise(scenario.noise, truth.sd_C, seeds, rng)
        for name, (_, sd) in OUTCOMES.items()
    ]
    chance = DIVERGED if scenario.noise == "diverging" else 0.0
    return Stage(half_CS, end_CS, truth.side_MC[..., None] + np.stack(relative), rng.random(end_CS.shape) < chance)


def noise(kind: Noise, sd_C: Array, seeds: int, rng: np.random.Generator) -> Array:
    """Draw the noise of one rung, [C, S]."""

    def standard(*shape: int) -> Array:
        if kind == "t3":
            return np.asarray(rng.standard_t(3, shape) / 3**0.5)
        return rng.standard_normal(shape)

    rho = 0.0 if kind == "normal-0" else 0.5
    if kind in UNEVEN:
        return np.asarray(sd_C[:, None] * (rho**0.5 * standard(seeds) + _uneven(kind, (len(sd_C), seeds), rng)))
    return np.asarray(sd_C[:, None] * (rho**0.5 * standard(seeds) + (1 - rho) ** 0.5 * standard(len(sd_C), seeds)))


def _uneven(kind: Noise, shape: tuple[int, int], rng: np.random.Generator) -> Array:
    """Draw own noise that is not symmetric, of mean 0, in units of SD; the baseline is row 0."""
    if kind in ("skewed", "grows"):
        own = rng.exponential(size=shape) - 1 if kind == "skewed" else _log_normal(shape, rng)
        own[0] = 0
        return own
    has_bad = np.arange(shape[0])[:, None] > 0 if kind == "bad-runs" else np.arange(shape[0])[:, None] == 0
    bad = (rng.random(shape) < BAD_SHARE) - BAD_SHARE
    return np.asarray(0.5**0.5 * rng.standard_normal(shape) + BAD_SIZE * bad * has_bad)


def _log_normal(shape: tuple[int, int], rng: np.random.Generator) -> Array:
    mean, spread = np.exp(GROWS**2 / 2), np.sqrt(np.expm1(GROWS**2)) * np.exp(GROWS**2 / 2)
    return np.asarray((np.exp(GROWS * rng.standard_normal(shape)) - mean) / spread)
