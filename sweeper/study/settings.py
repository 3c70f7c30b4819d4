"""Settings of a study that its model or its other parts contradict, each reported where it is written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sweeper.study.blocks import AsWritten, block_indices
from sweeper.study.knobs import cell_setting
from sweeper.study.misfit import Loc, Misfit
from sweeper.study.space import ExtraCell, Space
from trainer.recipe import VARIANTS, Dispersion, LocalBatch, Recipe, TauUnits, Variant

RELATIVE = (
    f"must be {' or '.join(name for name, facts in VARIANTS.items() if facts.relative)} where tau_units is relative"
)


def misfits(space: Space, cells: Sequence[ExtraCell], recipe: Recipe) -> Iterator[Misfit]:
    """Yield what is wrong with the settings of a study of this recipe."""
    taps, batch = recipe.model.taps, recipe.train.batch
    for place, variant in enumerate(space.variant):
        yield from _units(space.tau_units, variant, ("space", "variant", place))
    for place, block in enumerate(space.block):
        yield from _outside(block, taps, ("space", "block", place))
    for place, samples in enumerate(space.local_batch):
        yield from _parts(samples, batch, space.variant, space.tau_units, ("space", "local_batch", place))
    seen: dict[Dispersion, int] = {}
    for place, cell in enumerate(cells):
        own = [*cell_misfits(cell, recipe, ("cells", place))]
        yield from own
        if not own and (first := seen.setdefault(cell_setting(cell, taps), place)) != place:
            says = f"must be a setting of its own, but repeats cells.{first}"
            yield Misfit(("cells", place), says, cell.label)


def cell_misfits(cell: ExtraCell, recipe: Recipe, loc: Loc) -> Iterator[Misfit]:
    """Yield what is wrong with one setting, written at `loc`, in this recipe."""
    yield from _units(cell.tau_units, cell.variant, (*loc, "variant"))
    yield from _outside(cell.block, recipe.model.taps, (*loc, "block"))
    yield from _parts(cell.local_batch, recipe.train.batch, [cell.variant], cell.tau_units, (*loc, "local_batch"))


def _units(units: TauUnits, variant: Variant, loc: Loc) -> Iterator[Misfit]:
    if units == "relative" and not VARIANTS[variant].relative:
        yield Misfit(loc, RELATIVE, variant)


def _parts(samples: LocalBatch, batch: int, variants: Sequence[Variant], units: TauUnits, loc: Loc) -> Iterator[Misfit]:
    if samples == 2 and ("covariance" in variants or units == "relative"):
        says = "must be above 2: of two samples there is one distance, which covariance and relative tau make constant"
        yield Misfit(loc, says, samples)
    if samples != "all" and (samples >= batch or batch % samples):
        yield Misfit(loc, f"must divide train.batch, {batch}, and be below it; 'all' compares the whole batch", samples)


def _outside(block: AsWritten, taps: Sequence[str], loc: Loc) -> Iterator[Misfit]:
    parts = [((*loc, place), one) for place, one in enumerate(block)] if isinstance(block, tuple) else [(loc, block)]
    for where, one in parts:
        try:
            block_indices(one, taps)
        except ValueError as error:
            yield Misfit(where, str(error), one)
