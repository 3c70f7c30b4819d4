"""Settings of a study that its model or its other parts contradict, each reported where it is written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sweeper.study.blocks import AsWritten, block_indices
from sweeper.study.field_error import FieldError, Loc
from sweeper.study.idle_fields import idle_in_form
from sweeper.study.knobs import DISTANCE, LAMBDA_WARMUP, LOCAL_BATCH, NEGATIVES, TAU_UNITS, cell_setting
from sweeper.study.space import ExtraCell, Space
from trainer.recipe import VARIANTS, Dispersion, Distance, LocalBatch, Negatives, Recipe, TauUnits, Variant


def space_errors(space: Space, cells: Sequence[ExtraCell], recipe: Recipe, kept: bool = False) -> Iterator[FieldError]:
    """Yield what is wrong with the settings of a study of this recipe; of one that was `kept` nothing idle."""
    taps, batch = recipe.model.taps, recipe.train.batch
    units = TAU_UNITS.of_space(space)
    assert isinstance(units, tuple)
    for place, variant in enumerate(space.variant):
        yield from _units(units, variant, ("space", "variant", place))
    for place, block in enumerate(space.block):
        yield from _outside(block, taps, ("space", "block", place))
    for place, samples in enumerate(space.local_batch):
        yield from _parts(samples, batch, space.variant, units, ("space", "local_batch", place))
    for place, distance in enumerate(space.distance):
        yield from _scaled(distance, units, ("space", "distance", place))
    for place, entries in enumerate(space.negatives):
        yield from _bank(entries, space.local_batch, ("space", "negatives", place))
    first_end = min(range(len(space.lam_end)), key=space.lam_end.__getitem__)
    for place, warmup in enumerate(space.lam_warmup):
        places: tuple[Loc, Loc] = ("space", "lambda_warmup", place), ("space", "lambda_end", first_end)
        yield from _schedule(warmup, space.lam_end[first_end], places)
    seen: dict[Dispersion, int] = {}
    for place, cell in enumerate(cells):
        own = [*cell_errors(cell, recipe, ("cells", place), kept)]
        yield from own
        if not own and (first := seen.setdefault(cell_setting(cell, taps), place)) != place:
            says = f"must be a setting of its own, but repeats cells.{first}"
            yield FieldError(("cells", place), says, cell.label)


def cell_errors(cell: ExtraCell, recipe: Recipe, loc: Loc, kept: bool = False) -> Iterator[FieldError]:
    """Yield what is wrong with one setting, written at `loc`, in this recipe."""
    yield from _units([cell.tau_units], cell.variant, (*loc, "variant"))
    yield from _outside(cell.block, recipe.model.taps, (*loc, "block"))
    yield from _parts(cell.local_batch, recipe.train.batch, [cell.variant], [cell.tau_units], (*loc, "local_batch"))
    yield from _scaled(cell.distance, [cell.tau_units], (*loc, "distance"))
    yield from _bank(cell.negatives, [cell.local_batch], (*loc, "negatives"))
    yield from _schedule(cell.lam_warmup, cell.lam_end, ((*loc, "lambda_warmup"), (*loc, "lambda_end")))
    yield from () if kept else idle_in_form(cell, loc)


def _units(units: Sequence[TauUnits], variant: Variant, loc: Loc) -> Iterator[FieldError]:
    for unit in units:
        if unit not in VARIANTS[variant].units:
            known = " or ".join(name for name, facts in VARIANTS.items() if unit in facts.units)
            yield FieldError(loc, f"must be {known} where tau_units is {unit}", variant)


def _parts(
    samples: LocalBatch, batch: int, variants: Sequence[Variant], units: Sequence[TauUnits], loc: Loc
) -> Iterator[FieldError]:
    if samples == 2 and ("covariance" in variants or {*units} != {TAU_UNITS.usual}):
        says = "must be above 2: of two samples there is one distance, which covariance and relative tau make constant"
        yield FieldError(loc, says, samples)
    if samples != "all" and (samples >= batch or batch % samples):
        yield FieldError(
            loc, f"must divide train.batch, {batch}, and be below it; 'all' compares the whole batch", samples
        )


def _scaled(distance: Distance, units: Sequence[TauUnits], loc: Loc) -> Iterator[FieldError]:
    for unit in units:
        if distance != DISTANCE.usual and unit != TAU_UNITS.usual:
            yield FieldError(
                loc, f"must be mean where tau_units is {unit}: in such units both are the same loss", distance
            )


def _bank(entries: Negatives, parts: Sequence[LocalBatch], loc: Loc) -> Iterator[FieldError]:
    if entries != NEGATIVES.usual and {*parts} != {LOCAL_BATCH.usual}:
        says = "must be 'batch' where local_batch is not 'all', for a memory bank adds to the whole batch; use cells"
        yield FieldError(loc, says, entries)


def _schedule(warmup: float, end: float, places: tuple[Loc, Loc]) -> Iterator[FieldError]:
    if warmup < end:
        return
    if warmup == LAMBDA_WARMUP.usual:
        yield FieldError(places[1], "must be above 0: lambda is 0 from there on", end)
    else:
        yield FieldError(places[0], f"must be below lambda_end, {end:g}: lambda is 0 from there on", warmup)


def _outside(block: AsWritten, taps: Sequence[str], loc: Loc) -> Iterator[FieldError]:
    parts = [((*loc, place), one) for place, one in enumerate(block)] if isinstance(block, tuple) else [(loc, block)]
    for where, one in parts:
        try:
            block_indices(one, taps)
        except ValueError as error:
            yield FieldError(where, str(error), one)
