"""A comparison of two studies as markdown, to be read in a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sweeper.guide.compare.schema import Arm, Comparison, HeadToHead, Match, Pair, Winner
from sweeper.guide.schema.results import Outcome
from sweeper.render.tables.table import Table, to_markdown
from sweeper.text import numbers
from sweeper.text.untrusted import prose

MOST_ROWS = 40
WINNERS: Mapping[Winner, str] = {"a": "A", "b": "B", "equivalent": "equivalent", "open": "cannot be distinguished"}


def comparison_markdown(comparison: Comparison) -> str:
    """Write a comparison: the headline first, then what it rests on."""
    sections = [
        f"# A `{comparison.names[0]}` and B `{comparison.names[1]}`",
        f"> **{prose(comparison.headline)}**",
        "\n".join(f"- {name}: {prose(scope)}" for name, scope in zip("AB", comparison.scopes, strict=True)),
        *_head_to_head(comparison.head_to_head),
        *_matches(comparison),
        "## Figures",
        _figures(comparison),
        *_differences(comparison),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _head_to_head(met: HeadToHead | None) -> Iterable[str]:
    if met is None or met.reason:
        return
    seeds = ", ".join(map(str, met.seeds))
    yield "## On the same fresh seeds"
    yield (
        f"Each setting relative to its own baseline, paired by seed ({seeds}); geometric mean of the ratio A / B. The "
        "intervals miss with a chance of 5 % all together, whichever pair is picked. The baselines of one seed "
        + (f"differ by up to {numbers.share(met.baseline_gap)}." if met.baseline_gap else "are the same run.")
    )
    yield to_markdown(Table(("A", "B", "A against B [95 %]", "better"), tuple(map(_pair, met.pairs[:MOST_ROWS]))))
    yield _more(len(met.pairs))


def _pair(pair: Pair) -> tuple[str, ...]:
    star = " (first choices)" if pair.firsts else ""
    seen = numbers.change(pair.change.mean, pair.change.low, pair.change.high)
    return pair.a, pair.b, seen, WINNERS[pair.winner] + star


def _matches(comparison: Comparison) -> Iterable[str]:
    only = (
        f"{name} alone has {numbers.counted(count, 'setting')}"
        for name, count in zip("AB", comparison.unmatched, strict=True)
    )
    yield "## Settings both studies have"
    if not comparison.matches:
        yield f"None: {', '.join(only)}."
        return
    yield (
        "Matched by variant and lambda; by tau, or tau in units of the median squared distance between tokens (x d); "
        "and by block, as share of the depth where depths differ. Changes are to the study's own baseline, standings "
        f"its own claims. Besides, {', '.join(only)}."
    )
    head = ("A", "B", "block", "tau", "A: change [95 %]", "B: change [95 %]", "together")
    yield to_markdown(Table(head, tuple(map(_match, comparison.matches[:MOST_ROWS]))))
    yield _more(len(comparison.matches))


def _match(match: Match) -> tuple[str, ...]:
    a, b = match.a, match.b
    return (
        a.label,
        "the same" if b.label == a.label else b.label,
        _either(a.block, b.block),
        _either(_tau(a), _tau(b)),
        _seen(a),
        _seen(b),
        match.verdict or "one training, no claim",
    )


def _either(a: str, b: str) -> str:
    return a if a == b else f"{a}; {b}"


def _tau(arm: Arm) -> str:
    if arm.tau is None:
        return "none"
    ratios = "+".join(map(numbers.figure, arm.tau_distances or ()))
    return f"{arm.tau:g}" + (f" = {ratios} x d" if ratios else "")


def _seen(arm: Arm) -> str:
    if arm.change is None:
        return arm.standing or "not measured to its end"
    seen = numbers.change(arm.change.mean, arm.change.low, arm.change.high)
    return f"{seen}, {arm.standing or ('screen only' if arm.stage == 'screen' else 'no claim yet')}"


def _more(count: int) -> str:
    return f"And {count - MOST_ROWS:,} more; `--json` has all." if count > MOST_ROWS else ""


def _figures(comparison: Comparison) -> str:
    if not comparison.comparable:
        return f"Not comparable, only directions are: {prose('; '.join(comparison.incomparable))}."
    figures = (f"{name} {_baseline(outcome)}" for name, outcome in zip("AB", comparison.baselines, strict=True))
    metric = numbers.metric_name(comparison.objectives[0], comparison.distance)
    return f"Measured alike on the same data. {metric} of the baselines: {', '.join(figures)}."


def _baseline(outcome: Outcome | None) -> str:
    return "not measured" if outcome is None else f"{numbers.spread(outcome.mean, outcome.sd)} (n = {outcome.n})"


def _differences(comparison: Comparison) -> Iterable[str]:
    yield "## In what they differ"
    rows = tuple((difference.name, difference.a, difference.b) for difference in comparison.differences)
    yield to_markdown(Table(("", "A", "B"), rows)) or "In nothing that a guide tells."
