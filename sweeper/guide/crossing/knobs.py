"""A knob's effect in every study of a crossing, over what all of them measured, and whether it differs between them.

Shapes: C settings that all studies have, J seeds that all have, L levels of a knob
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from sweeper.guide.analysis.contrasts import change_of, log_differences
from sweeper.guide.analysis.knob_effects import FEWEST_DF
from sweeper.guide.analysis.stage_table import Matrix
from sweeper.guide.atlas.levels import level_effects
from sweeper.guide.atlas.members import Member
from sweeper.guide.crossing.schema import KnobCrossing
from sweeper.guide.schema.results import Change
from sweeper.statistics.error_budget import INTERVAL_ALPHA
from sweeper.statistics.factors import Factor, FTest, interaction
from sweeper.statistics.paired_tests import holm
from sweeper.study.knobs import KNOBS, LAMBDA, Knob, level
from trainer.recipe import Dispersion

FEWEST = 2  # studies, settings, seeds and levels


class Common(NamedTuple):
    """What all studies measured: settings, seeds, and each study's changes to its own baseline, [C, J] a study."""

    settings: list[Dispersion]
    seeds: list[int]
    y: list[Matrix]
    taps: tuple[str, ...]


def cross_knobs(common: Common) -> tuple[KnobCrossing, ...]:
    """Return every knob that varies among the common settings, with a test of whether the studies differ in it."""
    return _adjusted([_crossed(knob, common) for knob in KNOBS if len(_levels(knob, common)) >= FEWEST])


def common_of(used: Sequence[Member]) -> Common:
    """Find the settings that every study ran to their end on every seed that all share."""
    seen: list[dict[Dispersion, dict[int, float]]] = []
    for member in used:
        table = member.known.main
        assert table is not None  # a member has a screen
        y_CS = log_differences(table)
        seen.append(
            {
                member.known.cells[key].dispersion: {
                    seed: float(y_CS[row, at]) for at, seed in enumerate(table.seeds) if np.isfinite(y_CS[row, at])
                }
                for row, key in enumerate(table.keys)
                if member.known.cells[key].role == "grid" and not table.audited(key)
            }
        )
    every = [set(member.known.main.shared_seeds) for member in used if member.known.main]
    seeds = sorted(set.intersection(*every))
    settings = [
        setting for setting in seen[0] if all(seeds and set(seeds) <= study.get(setting, {}).keys() for study in seen)
    ]
    y = [np.array([[study[setting][seed] for seed in seeds] for setting in settings]) for study in seen]
    return Common(settings, seeds, y, used[0].record.study.recipe.model.taps)


def _acting(knob: Knob, common: Common) -> list[int]:
    return [row for row, setting in enumerate(common.settings) if knob.of(setting) is not None]


def _levels(knob: Knob, common: Common) -> list[Hashable]:
    found = {knob.of(common.settings[row]) for row in _acting(knob, common)}
    return sorted(found, key=knob.rank)


def _crossed(knob: Knob, common: Common) -> tuple[KnobCrossing, FTest | None]:
    rows = _acting(knob, common)
    settings = [common.settings[row] for row in rows]
    names = [level(knob.of(setting), common.taps) for setting in settings]
    order = [level(one, common.taps) for one in _levels(knob, common)]
    others = {
        one.name: found
        for one in KNOBS
        if one is not knob and len({*(found := [getattr(each, one.field) for each in settings])}) > 1
    }
    effects = [level_effects(y[rows], names, others, order).against_LJ for y in common.y]
    columns = [_changes(against_LJ) for against_LJ in effects]
    made = KnobCrossing(
        knob=knob.name,
        words=knob.words,
        levels=tuple(order),
        changes=tuple(zip(*columns, strict=True)),
        reason="" if len(common.seeds) >= FEWEST else "the studies share one seed of the screen",
    )
    if knob is LAMBDA:  # lambda 0 is one of its levels: all others may differ from it more in one study than in another
        effects = [np.vstack([np.zeros((1, len(common.seeds))), study]) for study in effects]
    return made, None if made.reason else _test(knob, effects, common.seeds)


def _changes(against_LJ: Matrix) -> list[Change | None]:
    """Return each level's mean change with its 95 % interval; levels share a variance, known from J - 1 differences."""
    seeds = against_LJ.shape[1]
    mean_L = against_LJ.mean(axis=1)
    if seeds < FEWEST:
        return [change_of(seeds, float(mean)) if np.isfinite(mean) else None for mean in mean_L]
    sd = float(np.sqrt(np.nanmean(against_LJ.var(axis=1, ddof=1)))) if np.isfinite(against_LJ).any() else float("nan")
    reach = float(stdtrit(seeds - 1, 1 - INTERVAL_ALPHA / 2)) * sd / seeds**0.5
    return [
        change_of(seeds, float(mean), float(mean - reach), float(mean + reach)) if np.isfinite(mean) else None
        for mean in mean_L
    ]


def _test(knob: Knob, effects: Sequence[Matrix], seeds: Sequence[int]) -> FTest | None:
    """Test level x study against its variation between seeds, on one figure a level, study and seed, [L, J] a study.

    Whatever a seed does to all of a study's levels, its baseline's luck included, is no difference between levels.

    Settings of a level share luck on a seed: as figures of their own they would count it many times.
    """
    estimable = [row for row in range(len(effects[0])) if all(np.isfinite(study[row]).all() for study in effects)]
    if len(estimable) < FEWEST:
        return None
    places = [*product(range(len(effects)), estimable, range(len(seeds)))]
    test = interaction(
        np.array([effects[study][row, at] for study, row, at in places]),
        [seeds[at] for _, _, at in places],
        [()] * len(places),
        Factor(knob.name, [row for _, row, _ in places]),
        Factor("study", [study for study, _, _ in places]),
    )
    return test if test and test.df_residual >= FEWEST_DF else None


def _adjusted(found: Sequence[tuple[KnobCrossing, FTest | None]]) -> tuple[KnobCrossing, ...]:
    adjusted = iter(holm([test.p for _, test in found if test]))
    return tuple(
        made.model_copy(update={"p": test.p, "adjusted": next(adjusted), "size": test.size})
        if test
        else made.model_copy(update={"reason": made.reason or "too few settings and seeds in common to test it"})
        for made, test in found
    )
