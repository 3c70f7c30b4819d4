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


def in_table(findings: Findings) -> Heuristics:
    """Return the heuristics with the words of every row."""
    table = findings.heuristics
    rows = (
        row.model_copy(
            update={
                "use": _use(findings, row),
                "safe": _safe(findings, row),
                "step": _step(row),
                "fresh": _fresh(findings, row),
                "grade": _grade(findings, row),
            }
        )
        for row in table.rows
    )
    return table.model_copy(update={"rows": tuple(rows)})


def _use(findings: Findings, row: Heuristic) -> str:
    if findings.heuristics.use == BASELINE_KEY:
        return OFF if row.knob == LAMBDA.name else "not used at lambda 0"
    used = row.having("use")
    return used[0] if used else "-"


def _safe(findings: Findings, row: Heuristic) -> str:
    if row.idle:
        return row.idle
    likely = _likely_worse(findings, row)
    still_open = [one for one in row.having("open") if one not in likely]
    if all(level_cost.within is None for level_cost in row.levels if level_cost.reach != "use"):
        # Without a surface no level is known to be safe, though fresh seeds may have ruled some out.
        dear = [one for one in row.having("costs") if one != OFF]
        known = f"; {', '.join(dear)} {'costs' if len(dear) == 1 else 'cost'} more" if dear else ""
        return f"not known{known}"
    text, lowest = span(row) or "none", _lowest(row) if row.against == "lowest" else ""
    if lowest:
        text = f"{lowest} is lowest" if text == f"only {lowest}" else f"{text}, lowest at {lowest}"
    parts = [text, *_listed("open", still_open), *_listed("likely worse", likely)]
    if row.against == "lowest":
        parts += _listed("depends on", [in_words(one) for one in partners(findings.pairs, row.knob)])
    return "; ".join(parts)


def _listed(word: str, levels: Sequence[str]) -> list[str]:
    return [f"{word}: {', '.join(levels)}"] if levels else []


def _likely_worse(findings: Findings, row: Heuristic) -> list[str]:
    """Return the open levels whose interval lies wholly above 0, in the screen or for all that fresh seeds tested."""
    knob, cells = _KNOBS[row.knob], findings.known.cells
    taps, worse = findings.record.study.recipe.model.taps, []
    for level_cost in row.levels:
        here = [
            claim
            for claim in comparable(findings)
            if level(knob.of(cells[claim.key].dispersion), taps) == level_cost.level
        ]
        fresh = [claim.change.low for claim in here if claim.change and claim.change.low is not None]
        by_screen = level_cost.cost is not None and level_cost.cost.low is not None and level_cost.cost.low > 0
        by_fresh = row.against == "lambda 0" and bool(fresh) and len(fresh) == len(here) and min(fresh) > 0
        if level_cost.reach == "open" and (by_screen or by_fresh):
            worse.append(level_cost.level)
    return worse


def span(row: Heuristic) -> str:
    """Write the levels that are equally good: '0.5 to 2', 'l2, cosine', 'only 0'."""
    runs: list[list[str]] = []
    before = ""
    for level_cost in row.levels:
        fits = level_cost.reach in ("use", "safe")
        if fits and before and row.ordered and not _has_gap(row, before, level_cost.level):
            runs[-1].append(level_cost.level)
        elif fits:
            runs.append([level_cost.level])
        before = level_cost.level if fits else ""
    if len(runs) == 1 and len(runs[0]) == 1:
        return f"only {runs[0][0]}"
    return ", ".join(run[0] if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs)


def _has_gap(row: Heuristic, one: str, other: str) -> bool:
    """Whether blocks lie between two, which nobody tried; between two lambdas or taus a range says what it says."""
    return row.knob == BLOCK.name and one.isdigit() and other.isdigit() and int(other) - int(one) > 1


def _lowest(row: Heuristic) -> str:
    known = [level_cost for level_cost in row.levels if level_cost.cost]
    return min(known, key=lambda one: one.cost.mean if one.cost else 0.0).level if known else ""


def _step(row: Heuristic) -> str:
    """Write what the neighbours of the value to use, or of the lowest level, cost."""
    names = [level_cost.level for level_cost in row.levels]
    middle = (row.having("use") or (_lowest(row),))[0]
    if middle not in names:
        return "-"
    place = names.index(middle)
    near = [row.levels[i] for i in (place - 1, place + 1) if 0 <= i < len(names)]
    if row.against == "setting":
        near = [
            level_cost for level_cost in near if level_cost.level != OFF
        ]  # what leaving the loss out costs is known of fresh seeds
    shown = (
        near if row.ordered else [level_cost for level_cost in row.levels if level_cost.level != middle][:MOST_STEPS]
    )
    return (
        "; ".join(f"{level_cost.level}: {written(level_cost.cost)}" for level_cost in shown if level_cost.cost) or "-"
    )


def _fresh(findings: Findings, row: Heuristic) -> str:
    """Write what fresh seeds say of this knob's levels."""
    knob, cells = _KNOBS[row.knob], findings.known.cells
    if findings.heuristics.use != BASELINE_KEY:
        without = _without_loss(findings) if knob is LAMBDA else ()
        return "; ".join((*without, *_moved_alone(findings, knob))) or "-"
    if knob is not LAMBDA:
        return "-"
    taps = findings.record.study.recipe.model.taps
    compared = comparable(findings)
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


def _without_loss(findings: Findings) -> tuple[str, ...]:
    """Write what lambda 0 costs against the setting to use: the confirmed change, turned round."""
    claim = next(claim for claim in findings.claims if claim.key == findings.heuristics.use)
    if claim.change is None:
        return ()
    mean, low, high = _turned(claim.change.mean), _turned(claim.change.high), _turned(claim.change.low)
    return (f"back to {OFF}: {confirmed_change(mean or 0.0, low, high, _turned(claim.bound))}",)


def _turned(change: float | None) -> float | None:
    return None if change is None else 1 / (1 + change) - 1


def _moved_alone(findings: Findings, knob: Knob) -> list[str]:
    """Compare, on fresh seeds, the setting to use with finalists that differ from it in this knob alone."""
    fresh, cells = findings.known.stages.get("confirm"), findings.known.cells
    if fresh is None:
        return []
    own = cells[findings.heuristics.use].dispersion
    others = [
        claim
        for claim in findings.claims
        if claim.key != findings.heuristics.use
        and claim.standing != "not comparable"
        and own.model_copy(update={knob.field: getattr(cells[claim.key].dispersion, knob.field)})
        == cells[claim.key].dispersion
    ]
    texts = []
    for claim in others:
        difference_S = fresh.logs()[fresh.row[claim.key]] - fresh.logs()[fresh.row[findings.heuristics.use]]
        shared = difference_S[np.isfinite(difference_S)]
        if len(shared) > 1:
            paired = Paired(shared, fresh.least_noise())
            change = change_of(paired.n, paired.mean, *paired.interval(INTERVAL_ALPHA / len(others)))
            name = level(knob.of(cells[claim.key].dispersion), findings.record.study.recipe.model.taps)
            texts.append(f"{name}: {written(change)}")
    return texts


def _grade(findings: Findings, row: Heuristic) -> str:
    if row.idle:
        return "-"
    measured = findings.main.stage == "screen" and not findings.heuristics.reason
    screen = f"screening, {counted(len(findings.main.seeds), 'seed')}" if measured else ""
    range_too = f"; range: {screen}" if screen else ""
    if findings.heuristics.use != BASELINE_KEY:
        if row.knob != LAMBDA.name:
            return screen or "-"
        used = [claim for claim in findings.claims if claim.key == findings.heuristics.use]
        return f"against 0 confirmed on {fresh_seeds(used)}{range_too}"
    if row.knob != LAMBDA.name or not findings.claims:
        return screen or "-"
    if len(findings.standing("confirmed hurts")) == len(findings.claims):
        return f"harm confirmed on {fresh_seeds(findings.claims)}{range_too}"
    hoped = [claim for claim in findings.claims if claim.direction == "lower"]
    if not hoped:
        return f"harm tested on {fresh_seeds(findings.claims)}, a gain was not{range_too}"
    return f"no gain confirmed on {fresh_seeds(hoped)}{range_too}"


def in_a_sentence(findings: Findings) -> str:
    """Sum the table up for the verdict; empty where it holds nothing to say."""
    table, margin = findings.heuristics, percent(findings.seeds.margin)
    if table.use != BASELINE_KEY:
        ranges = [f"{row.words} {span(row)}" for row in table.rows if len(row.having("use", "safe")) > 1]
        return f"Within {margin} of the setting that helps, by the screen: {', '.join(ranges)}." if ranges else ""
    row = table.row(LAMBDA.name)
    if row is None or row.idle or table.reason:
        return ""
    above = [level_cost for level_cost in row.levels if level_cost.level != OFF]
    safe = [level_cost for level_cost in above if level_cost.reach == "safe"]
    tau = table.row(TAU.name)
    units = f" (tau {tau.units})" if tau and tau.units else ""
    says = []
    if safe and _begins_at_0(row):
        upto = "" if safe == above[:1] else "up to "
        says.append(f"in the screen lambda {upto}{safe[-1].level}{units} costs at most {margin} on average")
    if dear := _all_dear_from(row):
        more = "" if dear is row.levels[-1] else f", and every larger one more than {margin} (screen)"
        says.append(f"{_cost_of(findings, dear)}{more}")
    return f"{capital('; '.join(says))}." if says else ""


def _begins_at_0(row: Heuristic) -> bool:
    return span(row).removeprefix("only ").startswith(OFF)


def _cost_of(findings: Findings, level_cost: LevelCost) -> str:
    """Write what a lambda costs: on fresh seeds where all that was tested at it hurts, else in the screen."""
    taps, cells = findings.record.study.recipe.model.taps, findings.known.cells
    here = [claim for claim in comparable(findings) if level(cells[claim.key].dispersion.lam, taps) == level_cost.level]
    changes = [claim.change for claim in here if claim.standing == "confirmed hurts" and claim.change]
    name = f"lambda {level_cost.level} costs"
    if changes and len(changes) == len(here):
        least = min(changes, key=lambda change: change.mean)
        return f"{name} {written(least)}{' or more' if len(changes) > 1 else ''} on fresh seeds"
    return (
        f"{name} {written(level_cost.cost)} on average in the screen"
        if level_cost.cost
        else f"{name} more than the margin"
    )


def _all_dear_from(row: Heuristic) -> LevelCost | None:
    """The lowest level from which on all cost more than the margin."""
    dear = None
    for level_cost in reversed(row.levels):
        if level_cost.reach != "costs" or level_cost.cost is None:
            break
        dear = level_cost
    return dear
