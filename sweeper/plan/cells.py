"""The cells of a study: what it compares, each in its one form and with its label."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

from sweeper.records import Cell
from sweeper.study import ExtraCell, Study, block_indices, block_name, values
from trainer.recipe import VARIANTS, Dispersion, TauUnits, Variant

BASELINE = Cell(role="baseline", label="baseline", dispersion=Dispersion())


def dispersion(blocks: tuple[int, ...], lam: float, tau: float, variant: Variant, units: TauUnits) -> Dispersion:
    """Return a setting of the loss in its one form: the tau of a variant that has none is always 1."""
    if VARIANTS[variant].tau is None:
        tau, units = 1.0, "absolute"
    return Dispersion(blocks=blocks, lam=lam, tau=tau, variant=variant, tau_units=units)


def setting_cell(setting: Dispersion, taps: Sequence[str], mark: str | None = None) -> Cell:
    """Return the cell that trains `setting` in a model with these taps, labelled for people."""
    return Cell(role="grid", label=setting_label(setting, taps), dispersion=setting, mark=mark)


def setting_label(setting: Dispersion, taps: Sequence[str]) -> str:
    """Say a setting in words, e.g. 'block 1, lambda 0.25, tau 0.5'; 'l2' and 'absolute' go without saying."""
    name = block_name(setting.blocks, taps)
    words = ["all blocks" if name == "all" else f"block{'s' if len(setting.blocks) > 1 else ''} {name}"]
    words.append(f"lambda {_number(setting.lam)}")
    if setting.has_tau:
        words.append(f"tau {_number(setting.tau)}" + (" relative" if setting.tau_units == "relative" else ""))
    if setting.variant != "l2":
        words.append(setting.variant)
    return ", ".join(words)


def _number(value: float) -> str:
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


def block_choices(study: Study) -> tuple[tuple[int, ...], ...]:
    """Return the distinct sets of blocks the study turns to, resolved to indices, in the order written."""
    taps = study.recipe.model.taps
    return tuple(dict.fromkeys(block_indices(block, taps) for block in study.space.block))


def merged_blocks(study: Study) -> tuple[str, ...]:
    """Say which blocks of the space, written differently, are one at this depth, and so are measured once."""
    taps, written = study.recipe.model.taps, dict[tuple[int, ...], dict[str, None]]()
    for block in study.space.block:
        spelling = str(list(block)) if isinstance(block, tuple) else str(block)
        written.setdefault(block_indices(block, taps), {})[spelling] = None
    return tuple(
        f"at depth {len(taps)} blocks {' and '.join(spellings)} are the same, {'+'.join(taps[i] for i in indices)}: "
        "measured once"
        for indices, spellings in written.items()
        if len(spellings) > 1
    )


def cells(study: Study) -> tuple[Cell, ...]:
    """Return every cell known beforehand: baseline, grid, extra cells that the grid lacks, controls.

    A grid that would train the same thing twice has it once. Under sampler random or tpe there is no grid: the
    search adds its configurations, and all extra cells are here.
    """
    taps = study.recipe.model.taps
    marks = {extra_setting(cell, taps): cell.label for cell in study.cells}
    grid = dict.fromkeys(_grid(study)) if study.screen.sampler == "grid" else {}
    settings = (setting_cell(setting, taps, marks.get(setting)) for setting in {**grid, **dict.fromkeys(marks)})
    controls = (
        Cell(role="control", label=arm.name, dispersion=Dispersion(), overrides=tuple(sorted(arm.set.items())))
        for arm in study.controls
    )
    return (BASELINE, *settings, *controls)


def extra_setting(cell: ExtraCell, taps: Sequence[str]) -> Dispersion:
    """Return what an extra cell trains in a model with these taps."""
    return dispersion(block_indices(cell.block, taps), cell.lam, cell.tau, cell.variant, cell.tau_units)


def _grid(study: Study) -> Iterator[Dispersion]:
    space = study.space
    for blocks, lam, tau, variant in product(
        block_choices(study), values(space.lam), values(space.tau), dict.fromkeys(space.variant)
    ):
        yield dispersion(blocks, lam, tau, variant, space.tau_units)
