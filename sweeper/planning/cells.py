"""The cells that a study compares, each in canonical form and with its label."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

from sweeper.records import Cell
from sweeper.study import Study, block_indices
from sweeper.study.knobs import KNOBS, cell_setting, setting_label, setting_of
from trainer.recipe import Dispersion

BASELINE = Cell(role="baseline", label="baseline", dispersion=Dispersion())


def setting_cell(setting: Dispersion, taps: Sequence[str], mark: str | None = None) -> Cell:
    """Return the cell that trains `setting` in a model with these taps, labelled for people."""
    return Cell(role="grid", label=setting_label(setting, taps), dispersion=setting, mark=mark)


def merged_blocks(study: Study) -> tuple[str, ...]:
    """Describe which blocks of the space are the same at this depth, although written differently: measured once."""
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

    Duplicate settings of a grid appear once. Under sampler random or tpe there is no grid: the
    search adds its configurations, and all extra cells are here.
    """
    taps = study.recipe.model.taps
    marks = {cell_setting(cell, taps): cell.label for cell in study.cells}
    grid = dict.fromkeys(_grid(study)) if study.screen.sampler == "grid" else {}
    settings = (setting_cell(setting, taps, marks.get(setting)) for setting in {**grid, **dict.fromkeys(marks)})
    controls = (
        Cell(
            role="control",
            label=arm.name,
            dispersion=arm.dispersion(taps),
            overrides=tuple(sorted(arm.set.items())),
        )
        for arm in study.controls
    )
    return (BASELINE, *settings, *controls)


def _grid(study: Study) -> Iterator[Dispersion]:
    for point in product(*(knob.points(study) for knob in KNOBS)):
        yield setting_of({knob.name: value for knob, value in zip(KNOBS, point, strict=True)})
