"""The probe's results, in sentences."""

from __future__ import annotations

from sweeper.guide.schema.probe import Probe, ProbeArm
from sweeper.text.numbers import counted


def probe_words(probe: Probe) -> tuple[str, ...]:
    """Compare each setting with the baseline, over all blocks and levels and where each is best."""
    return tuple(_compared(probe.baseline, arm) for arm in probe.settings)


def _compared(baseline: ProbeArm, arm: ProbeArm) -> str:
    return (
        f"{arm.label}: the linear probe's accuracy over all blocks and levels {_standing(arm)}. "
        f"Its best is {_best(arm)}, the baseline's {_best(baseline)}."
    )


def _standing(arm: ProbeArm) -> str:
    if arm.change is None:
        return "shares no seed with the baseline's"
    points = f"{100 * arm.change:+.1f} points"
    on = f"on {counted(arm.n, 'seed')}"
    if arm.low is None or arm.high is None:
        return f"differs from the baseline's by {points} {on}"
    interval = f"({points} [{100 * arm.low:+.1f}, {100 * arm.high:+.1f}] {on})"
    if arm.low <= 0 <= arm.high:
        return f"cannot be distinguished from the baseline's {interval}"
    return f"is {'higher' if arm.change > 0 else 'lower'} than the baseline's {interval}"


def _best(arm: ProbeArm) -> str:
    best = arm.best
    return f"{100 * best.linear:.1f} % in block {best.block} at t = {best.level:g}"
