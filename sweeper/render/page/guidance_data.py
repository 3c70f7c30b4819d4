"""Guidance, scale by scale, for the page's slider."""

from __future__ import annotations

from sweeper.guide.schema.guide import Guide
from sweeper.guide.schema.results import GuidanceCurve
from sweeper.render.page.schema import PageGuidance
from sweeper.text.numbers import MISSING, change, figure
from sweeper.text.untrusted import visible
from trainer.recipe import fid_name


def guidance_data(guide: Guide) -> PageGuidance | None:
    """Return what every arm does at every scale of guidance; None where it was not measured at several."""
    scales = sorted({point.scale for curve in guide.guidance for point in curve.points})
    if len(scales) < 2:
        return None
    metric = guide.words(fid_name(guide.guidance[0].samples))
    return PageGuidance(
        header=("arm", metric, "change to the baseline at this scale [95 %]", "precision", "recall"),
        scales=tuple(f"{scale:g}" for scale in scales),
        rows=tuple(tuple(_row(curve, scale) for curve in guide.guidance) for scale in scales),
    )


def _row(curve: GuidanceCurve, scale: float) -> tuple[str, ...]:
    at = next((point for point in curve.points if point.scale == scale), None)
    if at is None:
        return (visible(curve.label), MISSING, MISSING, MISSING, MISSING)
    changed = change(at.change.mean, at.change.low, at.change.high) if at.change else MISSING
    return (visible(curve.label), figure(at.fid), changed, figure(at.precision), figure(at.recall))
