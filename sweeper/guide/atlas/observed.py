"""One study's evidence on each knob, in units comparable across scopes: changes by level and seed."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from sweeper.guide.analysis.contrasts import log_differences
from sweeper.guide.analysis.stage_table import Mask, Matrix, StageTable
from sweeper.guide.atlas.levels import BaselineLuck, LevelEffects, baseline_luck, level_effects
from sweeper.guide.atlas.members import Member
from sweeper.guide.atlas.schema import LambdaUnit
from sweeper.guide.atlas.units import (
    BLOCK_ORDER,
    GRADIENT_RATIO,
    LAMBDA_ORDER,
    TAU,
    block_range,
    in_distances,
    lambda_range,
)
from sweeper.records import BASELINE_KEY, Cell
from sweeper.study.knobs import BLOCK, KNOBS, LAMBDA, TAU_UNITS, VARIANT
from sweeper.study.knobs import TAU as TAU_KNOB
from trainer.recipe import VARIANTS

TABLED = (BLOCK, LAMBDA, TAU_KNOB, VARIANT, TAU_UNITS)
ORDERS: Mapping[str, tuple[str, ...]] = {
    BLOCK.name: BLOCK_ORDER,
    LAMBDA.name: LAMBDA_ORDER,
    TAU_KNOB.name: TAU.names,
    VARIANT.name: tuple(VARIANTS),
}


class Seen(NamedTuple):
    """A knob in one study: its levels' effects on J seeds, and by level how many settings, stopped and diverged ones.

    A level that has diverged settings alone has no effects.
    """

    study: str
    effects: LevelEffects
    settings: Counter[str]
    stopped: Counter[str]
    diverged: Counter[str]
    written: Mapping[str, tuple[float, ...]] = MappingProxyType({})  # lambdas by level, as a study has them

    @property
    def seeds(self) -> int:
        """J."""
        return int(self.effects.against_LJ.shape[1])


class _Study(NamedTuple):
    # A study's settings of the loss in its screen, and their changes to the baseline on its seeds, [C, J].
    member: Member
    table: StageTable
    keys: list[str]
    y_CJ: Matrix
    stopped: set[str]
    saturated: set[str]
    unit: LambdaUnit
    luck: BaselineLuck | None

    def cell(self, key: str) -> Cell:
        return self.member.known.cells[key]

    @property
    def depth(self) -> int:
        return len(self.member.record.study.recipe.model.taps)


def observe(member: Member, unit: LambdaUnit) -> dict[str, Seen]:
    """Return a study's evidence on every knob, by the knob's name, except knobs that no setting informs.

    Settings at the loss's floor say nothing about block and tau. A stopped setting enters with its last rung, compared
    with the baseline at that step: leaving it out would flatter its level.
    """
    table = member.known.main
    assert table is not None  # a member has a screen
    y_CS, stopped = _changes(table)
    others = [row for key, row in table.row.items() if key != BASELINE_KEY]
    shared_S: Mask = np.asarray(np.isfinite(y_CS[others]).any(axis=0))
    y_CJ = y_CS[:, shared_S]
    saturated = {result.key for result in member.guide.main.cells if result.saturated}
    keys = [key for key in table.keys if member.known.cells[key].role == "grid" and _is_usual(member.known.cells[key])]
    study = _Study(member, table, keys, y_CJ, stopped, saturated, unit, _luck(table, keys, y_CJ, shared_S))
    found = {name: _seen(study, name) for name in ORDERS}
    return {name: seen for name, seen in found.items() if seen is not None}


def can_use_gradients(member: Member) -> bool:
    """Whether a study recorded the ratio of its losses' gradients where the loss still has one."""
    return bool(_gradient_rates(member))


def _gradient_rates(member: Member) -> dict[tuple[int, ...], float]:
    """Return the gradients' ratio by blocks, over lambda, where lambda is smallest; nothing where it is at the floor.

    A ratio at the end of training is also an outcome: at the floor the loss has no gradient, however large lambda
    is. Where lambda is smallest the network is close to the baseline's, and the ratio is proportional to lambda.
    """
    table = member.known.main
    assert table is not None  # a member has a screen
    saturated = {result.key for result in member.guide.main.cells if result.saturated}
    logs: dict[tuple[int, ...], list[tuple[float, float]]] = defaultdict(list)
    for key in table.keys:
        setting, ratio = member.known.cells[key].dispersion, table.furthest(GRADIENT_RATIO)[table.row[key]]
        if ratio and key not in saturated and setting.variant == VARIANT.usual:
            logs[setting.blocks].append((setting.lam, math.log(ratio / setting.lam)))
    return {blocks: math.exp(_mean([y for lam, y in seen if lam == min(seen)[0]])) for blocks, seen in logs.items()}


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _is_usual(cell: Cell) -> bool:
    others = (knob.of(cell.dispersion) for knob in KNOBS if knob not in TABLED)
    usual = (knob.usual for knob in KNOBS if knob not in TABLED)
    return all(value in (None, common) for value, common in zip(others, usual, strict=True))


def _changes(table: StageTable) -> tuple[Matrix, set[str]]:
    """Return log changes to the baseline, [C, S], with stopped trials at their last rung, and the stopped cells."""
    y_CS = log_differences(table).copy()
    early, stopped = table.minimised.name(last=False), set()
    for key, row in table.row.items():
        for place in np.flatnonzero(table.pruned_cs[row]):
            stopped.add(key)
            values_CS = table.at(int(table.step_cs[row, place]), early)
            own, base = values_CS[row, place], values_CS[table.row[BASELINE_KEY], place]
            if own > 0 and base > 0:
                y_CS[row, place] = np.log(own / base)
        if key in stopped and np.isfinite(y_CS[row]).any():
            # Dropped with the rest of its setting before it began.
            y_CS[row] = np.where(np.isfinite(y_CS[row]), y_CS[row], np.nanmean(y_CS[row]))
    return y_CS, stopped


def _luck(table: StageTable, keys: Sequence[str], y_CJ: Matrix, shared_S: Mask) -> BaselineLuck | None:
    """Estimate the baseline's luck on the settings' seeds, from the seeds that it has alone."""
    base_S = table.logs()[table.row[BASELINE_KEY]]
    further_K = base_S[~shared_S & np.isfinite(base_S)]
    own_CJ = y_CJ[[table.row[key] for key in keys if "diverged" not in table.states(key)]]
    whole_CJ = own_CJ[np.isfinite(own_CJ).all(axis=1)]
    if not len(whole_CJ) or not np.isfinite(base_S[shared_S]).all():
        return None
    return baseline_luck(whole_CJ, base_S[shared_S], further_K)


def _seen(study: _Study, knob: str) -> Seen | None:
    level = {key: name for key in study.keys if (name := _level(study, knob, key)) is not None}
    bad = {key for key in level if {"diverged", "failed"} & set(study.table.states(key))}
    whole = [key for key in level if key not in bad and np.isfinite(study.y_CJ[study.table.row[key]]).all()]
    if not whole:
        return None
    effects = level_effects(
        study.y_CJ[[study.table.row[key] for key in whole]],
        [level[key] for key in whole],
        _others(study, knob, whole),
        ORDERS[knob],
    )
    return Seen(
        study.member.name,
        effects._replace(luck=study.luck),
        Counter(level[key] for key in whole),
        Counter(level[key] for key in whole if key in study.stopped),
        Counter(level[key] for key in bad),
        _lambdas(study, level, whole) if knob == LAMBDA.name else {},
    )


def _lambdas(study: _Study, level: Mapping[str, str], keys: list[str]) -> dict[str, tuple[float, ...]]:
    found: dict[str, set[float]] = defaultdict(set)
    for key in keys:
        found[level[key]].add(study.cell(key).dispersion.lam)
    return {name: tuple(sorted(values)) for name, values in found.items()}


def _level(study: _Study, knob: str, key: str) -> str | None:
    """Name the range of a knob a setting is in; None where it says nothing of the knob."""
    setting = study.cell(key).dispersion
    if knob == VARIANT.name:
        return setting.variant
    if setting.variant != VARIANT.usual:
        return None
    if knob == LAMBDA.name:
        weight = _weight(study, key)
        return None if weight is None else lambda_range(weight, setting)
    if key in study.saturated:
        return None
    if knob == BLOCK.name:
        return block_range(setting.blocks, study.depth)
    multiple = in_distances(setting, study.member.guide.distances)
    return None if multiple is None else TAU.name(multiple)


def _weight(study: _Study, key: str) -> float | None:
    """Return a setting's lambda in units comparable across scopes; None where that was not recorded."""
    row, table = study.table.row[key], study.table
    if study.unit == "gradient ratio":
        rates, setting = _gradient_rates(study.member), study.cell(key).dispersion
        # Blocks that are at the floor at every lambda take the others' value.
        usual = math.exp(_mean([math.log(rate) for rate in rates.values()]))
        return setting.lam * rates.get(setting.blocks, usual)
    loss, distance = (table.furthest(name)[row] for name in ("dispersive_loss", "floor_distance"))
    base = table.furthest("train_loss")[table.row[BASELINE_KEY]]
    if loss is None or distance is None or not base:
        return None
    # A batch collapsed to one point has loss 0, so the span is as large as the floor.
    return study.cell(key).dispersion.lam * (distance - loss) / base


def _others(study: _Study, knob: str, keys: list[str]) -> dict[str, list[Hashable]]:
    """Return the values of the other knobs that vary, setting by setting."""
    fields: dict[str, Callable[[str], Hashable]] = {
        BLOCK.name: lambda key: study.cell(key).dispersion.blocks,
        LAMBDA.name: lambda key: study.cell(key).dispersion.lam,
        TAU_KNOB.name: lambda key: (study.cell(key).dispersion.tau_units, study.cell(key).dispersion.tau),
    }
    # Variants may lack a tau or have it in other units: the placeholder would be confounded with the variant.
    hidden = {knob, *((TAU_KNOB.name,) if knob == VARIANT.name else ())}
    found = {name: [of(key) for key in keys] for name, of in fields.items() if name not in hidden}
    return {name: values for name, values in found.items() if len(set(values)) > 1}
