"""How a table writes a cell's figures: mean ± spread (seeds), its trials' states, its change and marks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

from sweeper.guide.schema.guide import Guide
from sweeper.guide.schema.results import CellResult, GeometricMean, StageResult
from sweeper.render.tables.symbols import Marks
from sweeper.text import numbers

SAME_SEEDS = "lambda 0, same seeds"


def figures(result: CellResult | GeometricMean | None) -> str:
    """Write mean ± spread (seeds), or that there is none."""
    if result is None or result.mean is None:
        return numbers.MISSING
    return f"{numbers.spread(result.mean, result.sd)} ({result.n})"


def beside_baseline(stage: StageResult, results: Iterable[CellResult]) -> tuple[str, ...]:
    """Head a column with the baseline's figures on each row's own seeds; none where all are the baseline's own."""
    whole = stage.baseline.n if stage.baseline else 0
    return (SAME_SEEDS,) if any(result.against and result.against.n != whole for result in results) else ()


def cell_text(result: CellResult, marks: Marks) -> str:
    """Write a cell: mean ± spread (seeds), what became of the other trials, and its marks."""
    parts = [figures(result)] if result.mean is not None else []
    parts += _unfinished(result)
    parts += [
        f"{result.states[state]} {word}"
        for state, word in (("diverged", "diverged"), ("failed", "failed"), ("running", "running"), ("waiting", "open"))
        if state in result.states
    ]
    return (", ".join(parts) or "no figure") + marks.flags(result)


def _unfinished(result: CellResult) -> list[str]:
    """Describe which trials were pruned: stopped on the way, or out before they started; numbered unless all alike."""
    stopped = result.states.get("pruned", 0) - result.not_started
    several = len(result.states) > 1 or (stopped > 0 and result.not_started > 0)
    at = f"stopped at {result.stopped_at:,}" if stopped else ""
    fates = [(stopped, at), (result.not_started, "not started")]
    return [f"{count} {fate}" if several else fate for count, fate in fates if count]


def legend(guide: Guide) -> str:
    """Explain the marks that occur in the results."""
    marks, stage = Marks.of(guide), guide.main
    parts = [averaged(guide), *marks.legend(stage)]
    if any(result.stopped_at for result in stage.rows):
        parts.append("stopped at N: ended early at step N by the pruner, no claim")
    if any(result.not_started for result in stage.rows):
        parts.append("not started: the pruner had already dropped it, no claim")
    return " · ".join([*parts, *marks.names()])


def averaged(guide: Guide) -> str:
    """Explain what stands before and behind '±', and in brackets."""
    match guide.means:
        case "geometric":
            return (
                "geometric mean ± its standard deviation on the log scale, times the mean, over the seeds shared with "
                "lambda 0 (number of seeds)"
            )
        case "arithmetic":
            return "mean ± standard deviation over seeds (number of seeds)"
        case _:
            assert_never(guide.means)


def changed(result: CellResult) -> str:
    """Write a change to the baseline, or that there is none."""
    if result.change is None:
        return numbers.MISSING
    return numbers.change(result.change.mean, result.change.low, result.change.high)
