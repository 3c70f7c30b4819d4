"""Ten words that a guide uses and a newcomer may not know."""

from __future__ import annotations

from sweeper.guide.schema.guide import Guide
from sweeper.guide.wording.findings import SATURATED
from sweeper.text.numbers import INVERTED, percent
from trainer.recipe import recorded_metric

SHARE = percent(SATURATED)  # of a trial's steps at the floor: above it counts as saturated


def glossary(guide: Guide) -> dict[str, str]:
    """Return words and their meanings, in the order in which a guide uses them."""
    metric, margin = guide.words(guide.objective), percent(guide.seeds.margin)
    return {
        metric: f"{_meaning(guide)}; lower is better; not comparable between studies",
        "lambda 0, the baseline": "the same training without the Dispersive Loss",
        "block, lambda, tau": "where the loss acts, how strongly, and over what distance it pushes images apart",
        "tau relative": "a multiple of the batch's mean distance; otherwise tau is an absolute distance",
        "screen, fresh seeds": "the seeds on which settings are chosen, and new ones on which those are tested",
        "confirmed": "by a paired t-test on fresh seeds, corrected for the number of tests (Holm); at most 5 of 100 "
        "guides hold a wrong one",
        "screening": "seen on the seeds on which settings were chosen: a hint, no claim",
        "margin": f"{margin}: the difference in {metric} that this study calls small enough to ignore",
        "saturated": f"more than {SHARE} of steps at the floor of the loss, where it has no gradient",
        "[low, high]": "a 95 % interval: made so that it holds the true change in 95 of 100 studies",
    }


def key(guide: Guide) -> str:
    """Explain in a line the words without which neither verdict nor table can be understood."""
    screened = guide.main.stage == "screen"
    parts = ["*lambda 0*: the same training without the loss"]
    if screened:
        parts.append("*screen*: the seeds on which settings were chosen")
    if guide.claims:
        parts.append("*fresh seeds*: new ones on which they were tested")
    parts += ["*n*: number of seeds", "*[a, b]*: 95 % interval of a change"]
    if guide.claims:
        parts.append("*confirmed*: on fresh seeds, with at most 5 wrong ones in 100 guides")
    if any(claim.standing == "suggestive" for claim in (*guide.claims, *guide.side_claims)):
        parts.append("*suggestive*: seen on fresh seeds, not confirmed")
    if any(row.units == "relative" for row in guide.heuristics.rows):
        parts.append("*tau relative*: a multiple of the batch's mean distance")
    if any(result.saturated for result in guide.main.cells):
        parts.append(f"*floor*: the loss can fall no further and has no gradient (◦: for more than {SHARE} of steps)")
    if guide.main.controls:
        parts.append("*control arm*: training with another change instead of the loss")
    return f"Words: {'; '.join(parts)}. More in the glossary."


def _meaning(guide: Guide) -> str:
    metric = guide.words(guide.objective)
    if guide.judges_by_fid:
        return f"how far {metric.rpartition('-')[2]} drawn images are from the training images"
    recorded = recorded_metric(guide.objective.removeprefix(INVERTED))
    shows = recorded.metric.shows if recorded else "what the study judges by"
    return f"the inverse of what shows {shows}" if guide.objective.startswith(INVERTED) else shows
