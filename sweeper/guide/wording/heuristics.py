"""The words of the heuristics table, and the sentence of the verdict that sums it up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from sweeper.guide.analysis.contrasts import change_of
from sweeper.guide.analysis.heuristics import OFF
from sweeper.guide.analysis.knob_pairs import partners
from sweeper.guide.schema.heuristics import Heuristic, Heuristics, LevelCost
from sweeper.guide.schema.statements import Claim
from sweeper.guide.wording.findings import SAID, Findings, comparable, fresh_seeds, said, written
from sweeper.records import BASELINE_KEY
from sweeper.statistics.error_budget import INTERVAL_ALPHA
from sweeper.statistics.paired_tests import Paired
from sweeper.study.knobs import BLOCK, KNOBS, LAMBDA, TAU, Knob, in_words, level
from sweeper.text.numbers import confirmed_change, counted, percent, signed
from sweeper.text.sentences import capital

MOST_STEPS = 3
_KNOBS = {knob.name: knob for knob in KNOBS}


def in_table(found: Findings) -> Heuristics:
    """Return the heuristics with the words of every row."""
    table = found.heuristics
    rows = (
        row.model_copy(
            update={
                "use": _use(found, row),
                "safe": _safe(found, row),
                "step": _step(row),
                "fresh": _fresh(found, row),
                "grade": _grade(found, row),
            }
        )
        for row in table.rows
    )
    return table.model_copy(update={"rows": tuple(rows)})


def _use(found: Findings, row: Heuristic) -> str:
    if found.heuristics.use == BASELINE_KEY:
        return OFF if row.knob == LAMBDA.name else "not used at lambda 0"
    used = row.having("use")
    return used[0] if used else "-"


def _safe(found: Findings, row: Heuristic) -> str:
    if row.idle:
        return row.idle
    likely = _likely_worse(found, row)
    still_open = [one for one in row.having("open") if one not in likely]
    if all(one.within is None for one in row.levels if one.reach != "use"):
        # Without a surface no level is known to be safe, though fresh seeds may have ruled some out.
        dear = [one for one in row.having("costs") if one != OFF]
        known = f"; {', '.join(dear)} {'costs' if len(dear) == 1 else 'cost'} more" if dear else ""
        return f"not known{known}"
    text, lowest = span(row) or "none", _lowest(row) if row.against == "lowest" else ""
    if lowest:
        text = f"{lowest} is lowest" if text == f"only {lowest}" else f"{text}, lowest at {lowest}"
    parts = [text, *_listed("open", still_open), *_listed("likely worse", likely)]
    if row.against == "lowest":
        parts += _listed("depends on", [in_words(one) for one in partners(found.pairs, row.knob)])
    return "; ".join(parts)


def _listed(word: str, levels: Sequence[str]) -> list[str]:
    return [f"{word}: {', '.join(levels)}"] if levels else []


def _likely_worse(found: Findings, row: Heuristic) -> list[str]:
    """Return the open levels whose interval lies wholly above 0, in the screen or for all that fresh seeds tested."""
    knob, cells = _KNOBS[row.knob], found.known.cells
    taps, worse = found.record.study.recipe.model.taps, []
    for one in row.levels:
        here = [claim for claim in comparable(found) if level(knob.of(cells[claim.key].dispersion), taps) == one.level]
        fresh = [claim.change.low for claim in here if claim.change and claim.change.low is not None]
        by_screen = one.cost is not None and one.cost.low is not None and one.cost.low > 0
        by_fresh = row.against == "lambda 0" and bool(fresh) and len(fresh) == len(here) and min(fresh) > 0
        if one.reach == "open" and (by_screen or by_fresh):
            worse.append(one.level)
    return worse


def span(row: Heuristic) -> str:
    """Write the levels that are equally good: '0.5 to 2', 'l2, cosine', 'only 0'."""
    runs: list[list[str]] = []
    before = ""
    for one in row.levels:
        fits = one.reach in ("use", "safe")
        if fits and before and row.ordered and not _has_gap(row, before, one.level):
            runs[-1].append(one.level)
        elif fits:
            runs.append([one.level])
        before = one.level if fits else ""
    if len(runs) == 1 and len(runs[0]) == 1:
        return f"only {runs[0][0]}"
    return ", ".join(run[0] if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs)


def _has_gap(row: Heuristic, one: str, other: str) -> bool:
    """Whether blocks lie between two, which nobody tried; between two lambdas or taus a range says what it says."""
    return row.knob == BLOCK.name and one.isdigit() and other.isdigit() and int(other) - int(one) > 1


def _lowest(row: Heuristic) -> str:
    known = [one for one in row.levels if one.cost]
    return min(known, key=lambda one: one.cost.mean if one.cost else 0.0).level if known else ""


def _step(row: Heuristic) -> str:
    """Write what the neighbours of the value to use, or of the lowest level, cost."""
    names = [one.level for one in row.levels]
    middle = (row.having("use") or (_lowest(row),))[0]
    if middle not in names:
        return "-"
    place = names.index(middle)
    near = [row.levels[i] for i in (place - 1, place + 1) if 0 <= i < len(names)]
    if row.against == "setting":
        near = [one for one in near if one.level != OFF]  # what leaving the loss out costs is known of fresh seeds
    shown = near if row.ordered else [one for one in row.levels if one.level != middle][:MOST_STEPS]
    return "; ".join(f"{one.level}: {written(one.cost)}" for one in shown if one.cost) or "-"


def _fresh(found: Findings, row: Heuristic) -> str:
    """Write what fresh seeds say of this knob's levels."""
    knob, cells = _KNOBS[row.knob], found.known.cells
    if found.heuristics.use != BASELINE_KEY:
        without = _without_loss(found) if knob is LAMBDA else ()
        return "; ".join((*without, *_moved_alone(found, knob))) or "-"
    if knob is not LAMBDA:
        return "-"
    taps = found.record.study.recipe.model.taps
    compared = comparable(found)
    lams = sorted({cells[claim.key].dispersion.lam for claim in compared})
    by_level = ((lam, [claim for claim in compared if cells[claim.key].dispersion.lam == lam]) for lam in lams)
    return "; ".join(f"{level(lam, taps)}: {_standings(claims)}" for lam, claims in by_level) or "-"


def _standings(claims: list[Claim]) -> str:
    changes = [claim.change for claim in claims if claim.change]
    means = sorted(change.mean for change in changes)
    ends = f" ({signed(means[0])} to {signed(means[-1])} %)" if len(means) > 1 else ""
    only = f" ({written(changes[0])})" if len(claims) == len(means) == 1 else ends
    counts = Counter(said(claim) for claim in sorted(claims, key=lambda claim: list(SAID).index(claim.standing)))
    if len(counts) == 1:
        count = ("", "", "both ")[len(claims)] if len(claims) < 3 else f"all {len(claims)} "
        return f"{count}{said(claims[0])}{only}"
    return f"{', '.join(f'{count} {word}' for word, count in counts.items())}{only}"


def _without_loss(found: Findings) -> tuple[str, ...]:
    """Write what lambda 0 costs against the setting to use: the confirmed change, turned round."""
    claim = next(claim for claim in found.claims if claim.key == found.heuristics.use)
    if claim.change is None:
        return ()
    mean, low, high = _turned(claim.change.mean), _turned(claim.change.high), _turned(claim.change.low)
    return (f"back to {OFF}: {confirmed_change(mean or 0.0, low, high, _turned(claim.bound))}",)


def _turned(change: float | None) -> float | None:
    return None if change is None else 1 / (1 + change) - 1


def _moved_alone(found: Findings, knob: Knob) -> list[str]:
    """Compare, on fresh seeds, the setting to use with finalists that differ from it in this knob alone."""
    fresh, cells = found.known.stages.get("confirm"), found.known.cells
    if fresh is None:
        return []
    own = cells[found.heuristics.use].dispersion
    others = [
        claim
        for claim in found.claims
        if claim.key != found.heuristics.use
        and claim.standing != "not comparable"
        and own.model_copy(update={knob.field: getattr(cells[claim.key].dispersion, knob.field)})
        == cells[claim.key].dispersion
    ]
    texts = []
    for claim in others:
        difference_S = fresh.logs()[fresh.row[claim.key]] - fresh.logs()[fresh.row[found.heuristics.use]]
        shared = difference_S[np.isfinite(difference_S)]
        if len(shared) > 1:
            paired = Paired(shared, fresh.least_noise())
            change = change_of(paired.n, paired.mean, *paired.interval(INTERVAL_ALPHA / len(others)))
            name = level(knob.of(cells[claim.key].dispersion), found.record.study.recipe.model.taps)
            texts.append(f"{name}: {written(change)}")
    return texts


def _grade(found: Findings, row: Heuristic) -> str:
    if row.idle:
        return "-"
    measured = found.main.stage == "screen" and not found.heuristics.reason
    screen = f"screening, {counted(len(found.main.seeds), 'seed')}" if measured else ""
    range_too = f"; range: {screen}" if screen else ""
    if found.heuristics.use != BASELINE_KEY:
        if row.knob != LAMBDA.name:
            return screen or "-"
        used = [claim for claim in found.claims if claim.key == found.heuristics.use]
        return f"against 0 confirmed on {fresh_seeds(used)}{range_too}"
    if row.knob != LAMBDA.name or not found.claims:
        return screen or "-"
    if len(found.standing("confirmed hurts")) == len(found.claims):
        return f"harm confirmed on {fresh_seeds(found.claims)}{range_too}"
    hoped = [claim for claim in found.claims if claim.direction == "lower"]
    if not hoped:
        return f"tested for harm alone, on {fresh_seeds(found.claims)}{range_too}"
    return f"no gain confirmed on {fresh_seeds(hoped)}{range_too}"


def in_a_sentence(found: Findings) -> str:
    """Sum the table up for the verdict; empty where it holds nothing to say."""
    table, margin = found.heuristics, percent(found.seeds.margin)
    if table.use != BASELINE_KEY:
        ranges = [f"{row.words} {span(row)}" for row in table.rows if len(row.having("use", "safe")) > 1]
        return f"Within {margin} of the setting that helps, by the screen: {', '.join(ranges)}." if ranges else ""
    row = table.row(LAMBDA.name)
    if row is None or row.idle or table.reason:
        return ""
    above = [one for one in row.levels if one.level != OFF]
    safe = [one for one in above if one.reach == "safe"]
    tau = table.row(TAU.name)
    units = f" (tau {tau.units})" if tau and tau.units else ""
    says = []
    if safe and _begins_at_0(row):
        upto = "" if safe == above[:1] else "up to "
        says.append(f"in the screen lambda {upto}{safe[-1].level}{units} costs at most {margin} on average")
    if dear := _all_dear_from(row):
        more = "" if dear is row.levels[-1] else f", and every larger one more than {margin} (screen)"
        says.append(f"{_cost_of(found, dear)}{more}")
    return f"{capital('; '.join(says))}." if says else ""


def _begins_at_0(row: Heuristic) -> bool:
    return span(row).removeprefix("only ").startswith(OFF)


def _cost_of(found: Findings, one: LevelCost) -> str:
    """Write what a lambda costs: on fresh seeds where all that was tested at it hurts, else in the screen."""
    taps, cells = found.record.study.recipe.model.taps, found.known.cells
    here = [claim for claim in comparable(found) if level(cells[claim.key].dispersion.lam, taps) == one.level]
    changes = [claim.change for claim in here if claim.standing == "confirmed hurts" and claim.change]
    name = f"lambda {one.level} costs"
    if changes and len(changes) == len(here):
        least = min(changes, key=lambda change: change.mean)
        return f"{name} {written(least)}{' or more' if len(changes) > 1 else ''} on fresh seeds"
    return f"{name} {written(one.cost)} on average in the screen" if one.cost else f"{name} more than the margin"


def _all_dear_from(row: Heuristic) -> LevelCost | None:
    """The lowest level from which on all cost more than the margin."""
    dear = None
    for one in reversed(row.levels):
        if one.reach != "costs" or one.cost is None:
            break
        dear = one
    return dear
