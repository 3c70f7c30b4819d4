"""The data of a guide's page: this only arranges numbers and words that guide.json holds."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from sweeper.guide.schema.guide import Guide
from sweeper.guide.schema.heuristics import MapCell
from sweeper.guide.schema.results import CellHealth, CellResult, Trace
from sweeper.guide.schema.statements import Claim
from sweeper.render.figures.cell_samples import CellSamples
from sweeper.render.figures.map_cells import Shades, shades_of
from sweeper.render.page.axes import axes_of
from sweeper.render.page.guidance_data import guidance_data
from sweeper.render.page.schema import PageCell, PageData, PageSamples, PageTrace
from sweeper.render.tables.cell_figures import cell_text, changed
from sweeper.render.tables.claim_tables import claimed_change
from sweeper.render.tables.symbols import Marks
from sweeper.text.numbers import change as change_words
from sweeper.text.numbers import figure, percent, share
from sweeper.text.untrusted import visible

MOST_CELLS = 1000  # lines that a browser can draw and a person can distinguish


def page_data(guide: Guide, samples: CellSamples | None = None) -> PageData:
    """Lay out what the page shows on a hover and a click."""
    cells = [*guide.main.controls, *guide.main.cells]
    if len(cells) > MOST_CELLS:
        cells = sorted(cells, key=lambda one: (one.mean is None, one.mean or 0.0, one.key))[:MOST_CELLS]
    axes, places = axes_of(guide, cells)
    known = _Known.of(guide)
    lowest = next((one.key for one in guide.highlights if one.ink == "lowest"), "")
    shown = tuple(_cell(guide, known, one, at) for one, at in zip(cells, places, strict=True))
    return PageData(
        curve_metric=guide.words(guide.rung_objective),
        seeds=_seeds(guide),
        axes=axes,
        baseline=_trace(known.traces.get(guide.main.baseline.key)) if guide.main.baseline else None,
        cells=shown,
        first=lowest if any(one.key == lowest for one in shown) else next((one.key for one in shown), ""),
        left_out=len(guide.main.cells) + len(guide.main.controls) - len(shown),
        guidance=guidance_data(guide),
        samples=_samples(guide, samples, {one.key for one in shown}),
    )


def _samples(guide: Guide, found: CellSamples | None, shown: Collection[str]) -> PageSamples | None:
    baseline = guide.main.baseline.key if guide.main.baseline else ""
    if found is None or baseline not in found.grids:
        return None
    grids = {key: grid for key, grid in found.grids.items() if key in shown}
    return PageSamples(seed=found.seed, baseline=found.grids[baseline], grids=grids)


class _Known(NamedTuple):
    """What a guide has of its cells, by key."""

    shades: Shades
    surface: Mapping[str, MapCell]
    health: Mapping[str, CellHealth]
    claims: Mapping[str, Claim]
    traces: Mapping[str, Trace]

    @classmethod
    def of(cls, guide: Guide) -> _Known:
        claims = [one for one in (*guide.claims, *guide.side_claims) if one.metric == guide.objective]
        return cls(
            shades_of(guide, [one.key for one in guide.main.cells]),
            {one.key: one for one in guide.heuristics.cells},
            {one.key: one for one in guide.health},
            {one.key: one for one in claims},
            {one.key: one for one in guide.traces},
        )


def _cell(guide: Guide, known: _Known, one: CellResult, at: tuple[float | None, ...]) -> PageCell:
    trace = _trace(known.traces.get(one.key))
    return PageCell(
        key=one.key,
        label=visible(one.cell.label),
        tone=known.shades.tone(one.key),
        is_control=one.cell.role == "control",
        facts=tuple((name, visible(text)) for name, text in _facts(guide, known, one)),
        at=at,
        curve=trace.curve,
        blocks=trace.blocks,
    )


def _facts(guide: Guide, known: _Known, one: CellResult) -> Iterator[tuple[str, str]]:
    """Name a cell's figures; those that are missing are left out, and the first five are shown on a hover."""
    yield f"{guide.words(guide.objective)}, mean ± sd (seeds)", cell_text(one, Marks({}, {}))
    if surface := known.surface.get(one.key):
        found = surface.change
        yield "Against lambda 0, by the surface [95 %]", change_words(found.mean, found.low, found.high)
        yield f"Probability of lying within {percent(guide.seeds.margin)} of the best", share(surface.near_best)
    if one.change:
        yield f"Against lambda 0, paired by {_seeds(guide)} seed [95 %]", f"{changed(one)}, n = {one.change.n}"
    if claim := known.claims.get(one.key):
        n = f", n = {claim.change.n}" if claim.change else ""
        yield "On fresh seeds", f"{claim.standing}: {claim.reason or claimed_change(claim)}{n}"
    if health := known.health.get(one.key):
        named = (("Feature norm", health.norm_ratio), ("Effective rank", health.rank_ratio))
        if health.floor_share is not None:
            yield "Steps at the floor of the loss", share(health.floor_share)
        yield from ((f"{name} / baseline's", figure(value)) for name, value in named if value is not None)
    if one.cell.mark:
        yield "Marked as", one.cell.mark


def _seeds(guide: Guide) -> str:
    return "fresh" if guide.main.stage == "confirm" else "screening"


def _trace(found: Trace | None) -> PageTrace:
    if found is None:
        return PageTrace()
    return PageTrace(
        curve=tuple((at.step, at.mean, at.low, at.high) for at in found.curve),
        blocks=tuple((at.block, at.feature_norm, at.effective_rank) for at in found.blocks),
    )
