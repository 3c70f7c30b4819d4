"""Sentences that keep a reader from concluding too much: a baseline that draws poorly, harm that noise could make."""

from __future__ import annotations

from sweeper.guide.wording.findings import Findings, listed
from sweeper.records import BASELINE_KEY
from sweeper.statistics.looks import HIDDEN, enough_runs
from sweeper.text.numbers import figure, share
from trainer.recipe import MetricName

# Below these a model's samples have little to do with its data. Two shipped studies are, both short ones of the atlas.
POOR: tuple[tuple[MetricName, float, str], ...] = (
    ("precision", 0.2, "{} of its samples look like data"),
    ("coverage", 0.4, "they cover {} of the training images"),
)


DRAWS_POORLY = "Lambda 0 itself draws poorly"
POOR_FIRST = "first train or tune lambda 0 until it draws well and repeat this study; then "
COPIES = 0.95  # nearest-image ratio: samples this much closer to training images than held-out images are


def poor_baseline(findings: Findings) -> tuple[str, ...]:
    """Warn where lambda 0 itself draws poorly or copies: what changes such a model says little of a good one."""
    measured = ((_of_baseline(findings, name), least, says) for name, least, says in POOR)
    said = [says.format(share(value)) for value, least, says in measured if value is not None and value < least]
    if said:
        why = ", ".join(said)
        return (f"{DRAWS_POORLY} ({why}): a change seen here may vanish once it is trained longer or tuned.",)
    ratio = _of_baseline(findings, "nearest_train_ratio")
    if ratio is None or ratio >= COPIES:
        return ()
    return (
        f"Lambda 0 itself copies: its samples lie closer to training images than held-out images do (nearest-image "
        f"ratio {figure(ratio)}), so a lower {findings.metric} may be more copying, and a higher one less.",
    )


def _of_baseline(findings: Findings, metric: MetricName) -> float | None:
    table = findings.known.main
    if table is None or BASELINE_KEY not in table.row:
        return None
    return table.furthest(findings.record.study.recipe.eval.recorded(metric))[table.row[BASELINE_KEY]]


def hidden_harm(findings: Findings) -> tuple[str, ...]:
    """Explain why a setting whose interval lies above 0 may yet not be confirmed to hurt."""
    seen = [
        findings.label(claim.key)
        for claim in findings.claims
        if claim.direction == "higher" and claim.standing in ("suggestive", "no evidence either way")
        if claim.change and claim.change.low is not None and claim.change.low > 0
    ]
    if not seen:
        return ()
    return (
        f"Worse by the interval and yet not confirmed: {listed(seen)}. With few runs of lambda 0, one bad run among "
        f"them could feign such harm, so it has to exceed {HIDDEN:g} standard deviations until lambda 0 has run "
        f"{enough_runs()} times.",
    )
