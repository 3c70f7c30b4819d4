"""What a crossing says: whether a knob's effect depends on the recipe, and what each study confirmed."""

from __future__ import annotations

from collections.abc import Sequence

from sweeper.guide.analysis.knob_effects import REJECTED
from sweeper.guide.crossing.schema import Crossed, KnobCrossing
from sweeper.study.knobs import LAMBDA
from sweeper.text.numbers import change, confirmed_change, spread


def headline(fields: Sequence[str], knobs: Sequence[KnobCrossing]) -> str:
    """Say in one sentence which knobs' effects depend on the fields that differ."""
    where = _joined(fields, "and")
    tested = [crossing for crossing in knobs if crossing.adjusted is not None]
    seen = [crossing for crossing in tested if crossing.adjusted is not None and crossing.adjusted < REJECTED]
    if seen:
        named = _joined([f"{crossing.words} (p = {crossing.adjusted:.2g})" for crossing in seen], "and")
        return f"In the screens the effect of {named} depends on {where}: choose it anew there."
    if tested:
        named = _joined([crossing.words for crossing in tested], "or")
        return f"No sign in the screens that the effect of {named} depends on {where}."
    return f"Whether a knob's effect depends on {where} cannot be tested: {_why(knobs)}."


def points(
    fields: Sequence[str], metric: str, studies: Sequence[Crossed], knobs: Sequence[KnobCrossing]
) -> tuple[str, ...]:
    """Say what is confirmed where, which study has the best baseline, and what that does not mean."""
    return (
        _confirmed(fields, studies),
        *_baselines(fields, metric, studies),
        *(
            f"Lowest {crossing.words} in the screens: {_lowest(fields, studies, crossing)}."
            for crossing in knobs
            if crossing.knob == LAMBDA.name
        ),
        f"Each study keeps its own error of 5 %; that one or more of {len(studies)} confirms something false has a "
        f"chance of {min(100, 5 * len(studies))} % at most. What is said across studies is screening.",
    )


def _confirmed(fields: Sequence[str], studies: Sequence[Crossed]) -> str:
    helps = [crossed for crossed in studies if crossed.standing == "confirmed helps" and crossed.change]
    if not helps:
        asked = sum(bool(crossed.setting) for crossed in studies)
        return (
            f"No setting is confirmed to help in any of {asked} studies with fresh seeds."
            if asked
            else "Nothing was confirmed."
        )
    return " ".join(
        f"At {_at(fields, crossed)} {crossed.setting} helps: {claimed(crossed)}, "
        f"confirmed on {crossed.change.n} fresh seeds."
        for crossed in helps
        if crossed.change
    )


def claimed(crossed: Crossed) -> str:
    """Write what the fresh seeds say of a study's setting; empty where nothing was tested."""
    return (
        confirmed_change(crossed.change.mean, crossed.change.low, crossed.change.high, crossed.bound)
        if crossed.change
        else ""
    )


def _baselines(fields: Sequence[str], metric: str, studies: Sequence[Crossed]) -> tuple[str, ...]:
    known = [crossed for crossed in studies if crossed.mean is not None]
    # Figures of other data, or measured otherwise, cannot be compared: only changes can.
    if len(known) < 2 or any(name.startswith(("data.", "eval.")) for name in fields):
        return ()
    best, worst = (pick(known, key=lambda one: one.mean or 0.0) for pick in (min, max))
    return (
        f"At lambda 0 the lowest {metric} is at {_at(fields, best)}: {spread(best.mean, best.sd)} (n = {best.n}); the "
        f"highest at {_at(fields, worst)}: {spread(worst.mean, worst.sd)} (n = {worst.n}).",
    )


def _lowest(fields: Sequence[str], studies: Sequence[Crossed], knob: KnobCrossing) -> str:
    said = []
    for column, study in enumerate(studies):
        level = knob.lowest(column)
        effect = next((row[column] for name, row in zip(knob.levels, knob.changes, strict=True) if name == level), None)
        if effect is None:
            continue
        below = level if effect.mean < 0 else "0"
        said.append(f"{below} at {_at(fields, study)} ({level}: {change(effect.mean, effect.low, effect.high)})")
    return "; ".join(said)


def _at(fields: Sequence[str], study: Crossed) -> str:
    return ", ".join(f"{name} {value}" for name, value in zip(fields, study.values, strict=True))


def _why(knobs: Sequence[KnobCrossing]) -> str:
    return next(
        (crossing.reason for crossing in knobs if crossing.reason), "the studies have no two settings in common"
    )


def _joined(words: Sequence[str], last: str) -> str:
    return f" {last} ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]
