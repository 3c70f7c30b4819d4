"""An atlas's tables: heuristics, scopes, every knob's levels, the rules that are none, and the studies left out."""

from __future__ import annotations

from sweeper.guide.atlas.schema import Atlas, Best, Expectation, Heuristic, InScope, KnobTable, LevelRow
from sweeper.guide.atlas.wording import hypothesis
from sweeper.render.tables.table import Table
from sweeper.statistics.meta_analysis import LEAST_FOR_PREDICTION
from sweeper.text.numbers import change, signed

NONE = "none"
HEADS = {"lambda": "weight of lambda", "tau": "tau / distance", "block": "place of the block"}


def heuristics_table(atlas: Atlas) -> Table:
    """One row a knob: the rule, or that nothing travels."""
    found = {rule.knob: rule for rule in atlas.heuristics}
    rows = [_heuristic(rule) for rule in atlas.heuristics]
    rows += [(knob.knob, NONE, "", "", "") for knob in atlas.knobs if knob.knob not in found]
    header = ("knob", "heuristic", "change [95 %]", "expect elsewhere", "checks held")
    return Table(header, tuple(rows))


def _heuristic(rule: Heuristic) -> tuple[str, ...]:
    held = sum(check.outcome == "holds" for check in rule.checks)
    return rule.knob, rule.rule, _mean(rule.pooled), _expect(rule.pooled), f"{held} of {len(rule.checks)}"


def scopes_table(atlas: Atlas) -> Table:
    """Every scope, and what came of its sweep."""
    head = ("scope", "data", "studies", "what", "schedule", "settings (saturated)", "first of the screen")
    return Table(
        (*head, "change [95 %, by itself]"),
        tuple(
            (
                str(row.scope),
                str(row.data),
                ", ".join(row.studies),
                f"{row.words}; {row.objective.replace('_', ' ')}",
                row.schedule,
                f"{row.settings} ({row.saturated})",
                row.best.label if row.best else "-",
                _best(row.best) if row.best else "-",
            )
            for row in atlas.scopes
        ),
    )


def _best(best: Best) -> str:
    seen = change(best.change.mean, best.change.low, best.change.high)
    if best.stage == "screen":
        return f"{seen}, on the screen's seeds ‡"
    seeds = f", {best.change.n} fresh seeds"
    return f"{seen}{seeds}" + (f": {best.standing}" if best.standing else "")


def knob_table(knob: KnobTable, atlas: Atlas) -> Table:
    """A knob's levels against lambda 0, scope by scope and together."""
    shown = [row.scope for row in atlas.scopes if any(_of(level, row.scope) for level in knob.levels)]
    header = (
        HEADS.get(knob.knob, knob.knob),
        *(f"scope {scope}" for scope in shown),
        "together [95 %]",
        "expect elsewhere",
    )
    rows = tuple(
        (level.level + (" ✗" if level.diverged else ""), *(_cell(_of(level, scope)) for scope in shown), *_both(level))
        for level in knob.levels
    )
    return Table(header, rows)


def _of(level: LevelRow, scope: int) -> InScope | None:
    return next((effect for effect in level.scopes if effect.scope == scope), None)


def _cell(effect: InScope | None) -> str:
    if effect is None:
        return ""
    error = "no error" if effect.error is None else f"± {100 * effect.error * (1 + effect.change):.1f}"
    return f"{signed(effect.change)} {error}" + (" †" if effect.stopped else "")


def _both(level: LevelRow) -> tuple[str, str]:
    return (_mean(level.pooled), _expect(level.pooled)) if level.pooled else ("one scope", "")


def _mean(pooled: Expectation) -> str:
    if pooled.k < LEAST_FOR_PREDICTION:
        return f"{signed(pooled.mean)} %, {pooled.k} scopes"  # an interval of two would say nothing
    return f"{change(pooled.mean, pooled.low, pooled.high)}, {pooled.k} scopes"


def _expect(pooled: Expectation) -> str:
    if pooled.expect_low is None or pooled.expect_high is None:
        return "too few scopes"
    return f"{signed(pooled.expect_low)} to {signed(pooled.expect_high)} %"


def rejected_table(atlas: Atlas) -> Table:
    """Tabulate the rules that were tested and are no heuristics, and why."""
    rows = tuple(
        (hypothesis(rule), _against(rule), _mean(rule.pooled), _p(rule.p), rule.reason)
        for rule in sorted(atlas.rejected, key=lambda rule: rule.p)
    )
    return Table(("tested", "against", "change [95 %]", "p (Holm)", "why rejected"), rows)


def _against(rule: Heuristic) -> str:
    return "the other levels" if rule.kind == "prefer" else "lambda 0"


def _p(value: float) -> str:
    return "<0.0001" if value < 1e-4 else f"{value:.2g}"


def unused_table(atlas: Atlas) -> Table:
    """Studies left out, wholly or in part."""
    return Table(
        ("study", "what is left out, and why"), tuple((unused.study, unused.reason) for unused in atlas.unused)
    )
