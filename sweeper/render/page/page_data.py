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
        cells = sorted(cells, key=lambda result: (result.mean is None, result.mean or 0.0, result.key))[:MOST_CELLS]
    axes, places = axes_of(guide, cells)
    known = _Known.of(guide)
    lowest = next((highlight.key for highlight in guide.highlights if highlight.ink == "lowest"), "")
    shown = tuple(_cell(guide, known, result, at) for result, at in zip(cells, places, strict=True))
    return PageData(
        curve_metric=guide.words(guide.rung_objective),
        seeds=_seeds(guide),
        axes=axes,
        baseline=_trace(known.traces.get(guide.main.baseline.key)) if guide.main.baseline else None,
        cells=shown,
        first=lowest
        if any(page_cell.key == lowest for page_cell in shown)
        else next((page_cell.key for page_cell in shown), ""),
        left_out=len(guide.main.cells) + len(guide.main.controls) - len(shown),
        guidance=guidance_data(guide),
        samples=_samples(guide, samples, {page_cell.key for page_cell in shown}),
    )


def _samples(guide: Guide, cell_samples: CellSamples | None, shown: Collection[str]) -> PageSamples | None:
    baseline = guide.main.baseline.key if guide.main.baseline else ""
    if cell_samples is None or baseline not in cell_samples.grids:
        return None
    grids = {key: grid for key, grid in cell_samples.grids.items() if key in shown}
    return PageSamples(seed=cell_samples.seed, baseline=cell_samples.grids[baseline], grids=grids)


class _Known(NamedTuple):
    """What a guide has of its cells, by key."""

    shades: Shades
    surface: Mapping[str, MapCell]
    health: Mapping[str, CellHealth]
    claims: Mapping[str, Claim]
    traces: Mapping[str, Trace]

    @classmethod
    def of(cls, guide: Guide) -> _Known:
        claims = [claim for claim in (*guide.claims, *guide.side_claims) if claim.metric == guide.objective]
        return cls(
            shades_of(guide, [result.key for result in guide.main.cells]),
            {cell.key: cell for cell in guide.heuristics.cells},
            {health.key: health for health in guide.health},
            {claim.key: claim for claim in claims},
            {trace.key: trace for trace in guide.traces},
        )


def _cell(guide: Guide, known: _Known, result: CellResult, at: tuple[float | None, ...]) -> PageCell:
    trace = _trace(known.traces.get(result.key))
    return PageCell(
        key=result.key,
        label=visible(result.cell.label),
        tone=known.shades.tone(result.key),
        is_control=result.cell.role == "control",
        facts=tuple((name, visible(text)) for name, text in _facts(guide, known, result)),
        at=at,
        curve=trace.curve,
        blocks=trace.blocks,
    )


def _facts(guide: Guide, known: _Known, result: CellResult) -> Iterator[tuple[str, str]]:
    """Name a cell's figures; those that are missing are left out, and the first five are shown on a hover."""
    yield f"{guide.words(guide.objective)}, mean ± sd (seeds)", cell_text(result, Marks({}, {}))
    if surface := known.surface.get(result.key):
        change = surface.change
        yield "Against lambda 0, by the surface [95 %]", change_words(change.mean, change.low, change.high)
        yield f"Probability of lying within {percent(guide.seeds.margin)} of the best", share(surface.near_best)
    if result.change:
        yield f"Against lambda 0, paired by {_seeds(guide)} seed [95 %]", f"{changed(result)}, n = {result.change.n}"
    if claim := known.claims.get(result.key):
        n = f", n = {claim.change.n}" if claim.change else ""
        yield "On fresh seeds", f"{claim.standing}: {claim.reason or claimed_change(claim)}{n}"
    if health := known.health.get(result.key):
        named = (("Feature norm", health.norm_ratio), ("Effective rank", health.rank_ratio))
        if health.floor_share is not None:
            yield "Steps at the floor of the loss", share(health.floor_share)
        yield from ((f"{name} / baseline's", figure(value)) for name, value in named if value is not None)
    if result.cell.mark:
        yield "Marked as", result.cell.mark


def _seeds(guide: Guide) -> str:
    return "fresh" if guide.main.stage == "confirm" else "screening"


def _trace(trace: Trace | None) -> PageTrace:
    if trace is None:
        return PageTrace()
    return PageTrace(
        curve=tuple((at.step, at.mean, at.low, at.high) for at in trace.curve),
        blocks=tuple((at.block, at.feature_norm, at.effective_rank) for at in trace.blocks),
    )
