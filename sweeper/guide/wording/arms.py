"""Names for the arms beside a study's settings: plain controls, and those that train on a further loss."""

from __future__ import annotations

from collections.abc import Iterable

from sweeper.guide.schema.results import Item
from sweeper.records import Cell
from sweeper.study import Study
from sweeper.study.control_arms import AUXILIARY, Control
from sweeper.study.knobs import setting_label
from sweeper.text.numbers import counted


def is_plain(cell: Cell) -> bool:
    """Whether an arm adds no loss: neither the Dispersive Loss nor REPA nor a contrastive one."""
    added = any(name.startswith(f"{part}.") for name, _ in cell.overrides for part in AUXILIARY)
    return cell.dispersion.lam == 0 and not added


def called(cell: Cell) -> str:
    """Name an arm, e.g. 'plain control weight-decay' or 'control arm repa'."""
    return f"{'plain control' if is_plain(cell) else 'control arm'} {cell.label}"


def size(settings: int, arms: Iterable[Cell]) -> str:
    """Count settings and arms, the baseline among them: '4 settings, 3 arms without dispersion and 1 with it'."""
    disperses = [cell.dispersion.lam > 0 for cell in arms]
    tried, without = counted(settings, "setting"), f"{counted(disperses.count(False) + 1, 'arm')} without dispersion"
    return f"{tried}, {without} and {disperses.count(True)} with it" if any(disperses) else f"{tried} and {without}"


def arm_items(study: Study) -> tuple[Item, ...]:
    """Say what each control arm trains with, other than the study's recipe."""
    lines = [f"{arm.name}: {_described(arm, study)}" for arm in study.controls]
    return (Item(name="control arms", value=" · ".join(lines)),) if lines else ()


def _described(arm: Control, study: Study) -> str:
    changed = ", ".join(f"{name} {value}" for name, value in arm.set.items())
    taps = study.recipe.model.taps
    setting = arm.dispersion(taps)
    return f"{changed}; with {setting_label(setting, taps)}" if setting.lam > 0 else changed
