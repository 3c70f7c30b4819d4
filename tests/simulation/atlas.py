"""Simulate atlases with a known truth: `python -m tests.simulation.atlas --atlases 400`.

The table goes to `reports/atlas_simulation_<date>.md`. A scope is a screen of 3 blocks, 4 lambdas and 2 taus on two
seeds, with its baseline on the same ones and on eight more, as in `studies/atlas`; a trial's noise is 8 % (1 sd), of
which half the variance is shared by settings of one block and seed, and a seed's effect on all trials is as large. What
is judged and how is `sweeper.guide.atlas.heuristics`.
"""

from __future__ import annotations

import argparse
import datetime
import gc
import os
import platform
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sweeper.guide.atlas.heuristics import Judged, judge
from sweeper.guide.atlas.knob_tables import Speaker, evidence_of
from sweeper.guide.atlas.levels import BaselineLuck, LevelEffects, baseline_luck, level_effects
from sweeper.guide.atlas.observed import ORDERS, Seen
from sweeper.guide.atlas.units import LAMBDA, TAU, THIRDS

Array = npt.NDArray[np.float64]
Rule = tuple[str, str, str]  # knob, kind, level

SD, MARGIN = 0.08, float(np.log1p(0.05))
FURTHER = 8  # seeds of the baseline alone
LAMBDAS, TAUS = LAMBDA.names[1:], TAU.names[1:3]
SETTINGS = list(product(THIRDS, LAMBDAS, TAUS))
AXES = {"block": THIRDS, "lambda": LAMBDAS, "tau": TAUS}
GOOD: tuple[Rule, ...] = (("lambda", "use", LAMBDAS[1]), ("block", "prefer", THIRDS[2]))
HARM: tuple[Rule, ...] = tuple(("lambda", "avoid", level) for level in LAMBDAS[1:])


class World(NamedTuple):
    """How scopes are drawn: `effect` gives the settings' true log changes in S scopes, [S, C]; `true` rules hold."""

    name: str
    scopes: int
    effect: Callable[[np.random.Generator, list[int]], Array]  # from the scopes' data sets
    true: tuple[Rule, ...] = ()
    skewed: bool = False
    data_sets: int = 3

    @property
    def data(self) -> list[int]:
        """The data set of every scope."""
        return [row % self.data_sets for row in range(self.scopes)]


def _at(knob: str, level: str) -> Array:
    place = list(AXES).index(knob)
    return np.array([float(setting[place] == level) for setting in SETTINGS])


def _nothing(_rng: np.random.Generator, data: list[int]) -> Array:
    return np.zeros((len(data), len(SETTINGS)))


def _each_its_own(rng: np.random.Generator, data: list[int]) -> Array:
    return _levels_at_random(rng, np.arange(len(data)))


def _each_data_its_own(rng: np.random.Generator, data: list[int]) -> Array:
    return _levels_at_random(rng, np.array(data))


def _levels_at_random(rng: np.random.Generator, group_S: npt.NDArray[np.int_]) -> Array:
    """Give every level of every knob an effect of 8 % (1 sd) in each group of scopes."""
    total = np.zeros((len(group_S), len(SETTINGS)))
    for knob, levels in AXES.items():
        for level in levels:
            total += rng.normal(0, SD, group_S.max() + 1)[group_S][:, None] * _at(knob, level)
    return total


def _harm(rng: np.random.Generator, data: list[int]) -> Array:
    """Lambda hurts, the more the larger it is; how much depends on the scope."""
    shape = sum(size * _at("lambda", level) for size, level in zip((0.0, 0.08, 0.2, 0.5), LAMBDAS, strict=True))
    return np.asarray(rng.uniform(0.6, 1.4, len(data))[:, None] * shape)


def _travels(rng: np.random.Generator, data: list[int]) -> Array:
    """One lambda helps by 15 % and the last third by 8 %, give or take 2 %, in every scope."""
    return sum(
        (rng.normal(size, 0.02, len(data))[:, None] * _at(knob, level) for size, knob, level in _GAINS),
        start=np.zeros((len(data), len(SETTINGS))),
    )


_GAINS = ((-0.15, "lambda", LAMBDAS[1]), (-0.08, "block", THIRDS[2]))


def _in_some(is_in_S: Array) -> Array:
    both = _at("lambda", LAMBDAS[1]) + _at("block", THIRDS[2])
    return np.asarray(-0.2 * is_in_S[:, None] * both)


def _particular(rng: np.random.Generator, data: list[int]) -> Array:
    return _in_some((rng.permutation(len(data)) < len(data) // 3).astype(float))


def _one_data_set(_rng: np.random.Generator, data: list[int]) -> Array:
    return _in_some((np.array(data) == 0).astype(float))


def _reverses(rng: np.random.Generator, data: list[int]) -> Array:
    return _in_some(np.where(rng.permutation(len(data)) < len(data) // 2, 1.0, -1.0))


WORLDS = (
    World("nothing does anything", 12, _nothing),
    World("nothing, 6 scopes", 6, _nothing),
    World("nothing, skewed noise", 12, _nothing, skewed=True),
    World("every scope its own effects", 12, _each_its_own),
    World("every data set its own effects", 12, _each_data_its_own),
    World("every data set its own, 6 data sets", 12, _each_data_its_own, data_sets=6),
    World("helps in a third of the scopes", 12, _particular),
    World("helps on one data set of three", 12, _one_data_set),
    World("helps in half, hurts in half", 12, _reverses),
    World("lambda hurts, more or less", 12, _harm, HARM),
    World("lambda hurts, 6 scopes", 6, _harm, HARM),
    World("helps everywhere", 12, _travels, GOOD),
    World("helps everywhere, 6 scopes", 6, _travels, GOOD),
)


class Drawn(NamedTuple):
    """An atlas's rules, and the true changes of the settings in its scopes, [S, C]."""

    judged: tuple[Judged, ...]
    effect_SC: Array


def draw(world: World, rng: np.random.Generator, seeds: int, further: int) -> Drawn:
    """Draw the screens of a world's scopes and judge what they show together."""
    effect_SC = world.effect(rng, world.data)
    trials_SCJ, baseline_SJ = _noise(world, rng, seeds)
    y_SCJ = effect_SC[:, :, None] + trials_SCJ - baseline_SJ[:, None]
    luck = _luck(world, rng, y_SCJ, baseline_SJ, further)
    together_CJ = y_SCJ.transpose(1, 0, 2).reshape(len(SETTINGS), -1)  # one fit for the seeds of all scopes
    evidence = []
    for place, knob in enumerate(AXES):
        own = [setting[place] for setting in SETTINGS]
        others = {name: [setting[i] for setting in SETTINGS] for i, name in enumerate(AXES) if name != knob}
        fitted = level_effects(together_CJ, own, others, ORDERS[knob])
        spoken = [
            Speaker(row, Seen(str(row), _of_scope(fitted, row, seeds, luck[row]), Counter(own), Counter(), Counter()))
            for row in range(world.scopes)
        ]
        evidence.append(evidence_of(knob, spoken, world.scopes))
    return Drawn(judge(evidence, world.data, MARGIN), effect_SC)


def _of_scope(fitted: LevelEffects, row: int, seeds: int, luck: BaselineLuck | None) -> LevelEffects:
    own = slice(row * seeds, (row + 1) * seeds)
    return LevelEffects(fitted.levels, fitted.against_LJ[:, own], fitted.among_LJ[:, own], luck)


def holds_here(rule: Rule, effect_SC: Array) -> bool:
    """Whether a rule is true in every scope of an atlas."""
    knob, kind, level = rule
    is_level_C = _at(knob, level) > 0
    level_S = effect_SC[:, is_level_C].mean(axis=1)
    if kind == "prefer":
        return bool((level_S < effect_SC[:, ~is_level_C].mean(axis=1)).all())
    return bool((level_S > 0).all() if kind == "avoid" else (level_S < 0).all())


def _noise(world: World, rng: np.random.Generator, seeds: int) -> tuple[Array, Array]:
    """Draw the noise of the settings' trials, [S, C, J], and of the baseline's on the same seeds, [S, J].

    The seeds' own effects, which both share, come in where the baseline runs on other seeds.
    """
    block_C = np.array([THIRDS.index(setting[0]) for setting in SETTINGS])
    own = _one_sd(world, rng, world.scopes, len(SETTINGS), seeds)
    shared = _one_sd(world, rng, world.scopes, len(THIRDS), seeds)[:, block_C]
    return np.asarray(np.sqrt(0.5) * (own + shared)), _one_sd(world, rng, world.scopes, seeds)


def _one_sd(world: World, rng: np.random.Generator, *shape: int) -> Array:
    return SD * (rng.exponential(size=shape) - 1 if world.skewed else rng.normal(size=shape))


def _luck(
    world: World, rng: np.random.Generator, y_SCJ: Array, baseline_SJ: Array, further: int
) -> list[BaselineLuck | None]:
    if not further:
        return [None] * world.scopes
    seed_SJ = rng.normal(0, SD, baseline_SJ.shape)
    further_SK = rng.normal(0, SD, (world.scopes, further)) + _one_sd(world, rng, world.scopes, further)
    return [baseline_luck(*scope) for scope in zip(y_SCJ, baseline_SJ + seed_SJ, further_SK, strict=True)]


def simulate(world: World, atlases: int, seed: int, seeds: int = 2, further: int = FURTHER) -> Counter[str]:
    """Count what the atlases of a world say; each depends on the world, its number and the seed alone."""
    found: Counter[str] = Counter(atlases=atlases, true=atlases * len(world.true))
    for number in range(atlases):
        rng = np.random.default_rng([seed, number, *world.name.encode()])
        judged, effect_SC = draw(world, rng, seeds, further)
        passed = {(one.knob, one.kind, one.level) for one in judged if one.passes}
        shown = {(one.knob, one.kind, one.level) for one in judged if one.p <= 0.05}
        found["some"] += bool(passed)
        found["false here"] += not all(holds_here(rule, effect_SC) for rule in passed)
        found["false"] += bool(passed - set(world.true))
        found["false unchecked"] += not all(holds_here(rule, effect_SC) for rule in shown)
        found["found"] += len(passed & set(world.true))
        found.update(f"found {rule[1]} {rule[0]}" for rule in passed & set(world.true))
    return found


COLUMNS = (
    *("truth", "scopes", "data sets", "rules", "some heuristic"),
    *("false in a scope seen", "the same, unchecked", "not among the rules", "rules found"),
)


def row(world: World, found: Counter[str]) -> tuple[str, ...]:
    """Write a world's figures."""

    def rate(part: str, whole: str) -> str:
        return f"{100 * found[part] / found[whole]:.1f} %" if found[whole] else "-"

    return (
        world.name, str(world.scopes), str(world.data_sets), str(len(world.true)), rate("some", "atlases"),
        rate("false here", "atlases"), rate("false unchecked", "atlases"), rate("false", "atlases"),
        rate("found", "true"),
    )  # fmt: skip


HEAD = """Atlases of simulated scopes with a known truth: 3 blocks x 4 lambdas x 2 taus on two seeds each, lambda 0 on
{further} further ones, a trial's noise 8 % (1 sd), data sets in turn. `tests/simulation/atlas.py` describes the worlds.

- *rules*: how many rules hold in every scope there could be.
- *some heuristic*: atlases that print any.
- *false in a scope seen*: atlases that print one whose direction is wrong in one of their own scopes. *unchecked*: the
  same had Holm's test over scopes been enough, without prediction interval and leave-one-out checks.
- *not among the rules*: atlases that print one that does not hold in every scope there could be. With three data sets
  that differ, it may be true in all scopes of these three: an atlas of fewer than five data sets says that it speaks of
  these alone.
- *rules found*: share of the rules that are printed."""


def page(rows: Iterable[tuple[str, ...]], provenance: str, further: int) -> str:
    """Write the table."""
    lines = [COLUMNS, ("---",) * len(COLUMNS), *rows]
    table = "\n".join(f"| {' | '.join(one)} |" for one in lines)
    return "\n\n".join(["# Atlases, simulated", HEAD.format(further=further), table, provenance]) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Simulate world after world; write the table after each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--atlases", type=int, default=400, help="atlases a world")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--further", type=int, default=FURTHER, help="seeds of a screen on which lambda 0 runs alone")
    parser.add_argument("--out", type=Path, default=Path("reports"), help="where the table goes")
    given, began = parser.parse_args(arguments), time.monotonic()
    gc.freeze()  # statsmodels collects garbage in every correction
    given.out.mkdir(parents=True, exist_ok=True)
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    rows = []
    for world in WORLDS:
        rows.append(row(world, simulate(world, given.atlases, given.seed, further=given.further)))
        print(rows[-1], file=sys.stderr, flush=True)
        minutes = (time.monotonic() - began) / 60
        provenance = (
            f"{given.atlases} atlases a world, seed {given.seed}; Python {platform.python_version()}, numpy "
            f"{np.__version__}, {os.cpu_count()} cores, one process, {minutes:.0f} min."
        )
        (given.out / f"atlas_simulation_{today}.md").write_text(page(rows, provenance, given.further))


if __name__ == "__main__":
    main()
