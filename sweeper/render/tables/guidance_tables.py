"""Tables of guidance: every arm over the scales it was measured at."""

from __future__ import annotations

from sweeper.guide.schema.guide import Guide
from sweeper.guide.schema.results import Change, GuidanceCurve
from sweeper.render.tables.guide_tables import table
from sweeper.render.tables.table import Table
from sweeper.text import numbers


def guidance_table(guide: Guide) -> Table:
    """Tabulate FID over the scales of guidance, and the change to the baseline at each and at each side's best."""
    base = next((curve for curve in guide.guidance if curve.change_at_best is None), None)
    arms = [curve for curve in guide.guidance if curve is not base]
    if base is None:
        return table((), ())
    rows = []
    for point in base.points:
        found = [next((at for at in curve.points if at.scale == point.scale), None) for curve in arms]
        texts = [_guided(at.fid, at.change, _apart(at.against, point.fid)) if at else numbers.MISSING for at in found]
        rows.append((f"{point.scale:g}", numbers.figure(point.fid), *texts))
    at_best = [
        _guided(
            _lowest_fid(curve),
            curve.change_at_best,
            f" at {curve.best:g}{_apart(curve.against_at_best, _lowest_fid(base))}",
        )
        for curve in arms
    ]
    rows.append(("its own best", f"{numbers.figure(_lowest_fid(base))} at {base.best:g}", *at_best))
    return table(("guidance scale", *(curve.label for curve in (base, *arms))), rows)


def length_table(guide: Guide) -> Table:
    """Tabulate each arm's change of FID to the baseline by training length, a column a scale of guidance."""
    scales = sorted({point.scale for curve in guide.guidance for point in curve.points})
    rows = []
    for one in guide.guidance:
        for length in one.lengths:
            at = {point.scale: point for point in length.points}
            texts = [_guided(at[scale].fid, at[scale].change) if scale in at else numbers.MISSING for scale in scales]
            rows.append((one.label, f"{length.step:,}", *texts))
    return table(("arm", "step", *(f"scale {scale:g}" for scale in scales)), rows)


def variety_table(guide: Guide) -> Table:
    """Tabulate precision and recall over the scales of guidance."""
    scales = sorted({point.scale for curve in guide.guidance for point in curve.points})
    rows = []
    for scale in scales:
        found = [next((at for at in curve.points if at.scale == scale), None) for curve in guide.guidance]
        texts = (f"{numbers.figure(at.precision)} / {numbers.figure(at.recall)}" if at else "-" for at in found)
        rows.append((f"{scale:g}", *texts))
    return table(("precision / recall", *(curve.label for curve in guide.guidance)), rows)


def _guided(fid: float, change: Change | None, where: str = "") -> str:
    return f"{numbers.figure(fid)}{where}" + (
        f" ({numbers.change(change.mean, change.low, change.high)})" if change else ""
    )


def _apart(against: float | None, baseline: float) -> str:
    """Name the baseline's figure on an arm's seeds where those are not all of its own."""
    own, shown = numbers.figure(against), numbers.figure(baseline)
    return f" against {own}" if against is not None and own != shown else ""


def _lowest_fid(curve: GuidanceCurve) -> float:
    return next(point.fid for point in curve.points if point.scale == curve.best)
