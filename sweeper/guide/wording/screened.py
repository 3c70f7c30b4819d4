"""What the screen saw, in sentences that claim nothing."""

from __future__ import annotations

from sweeper.guide.wording.findings import Findings, changed, figures_against
from sweeper.text.numbers import counted

CHANCE = 0.05


def screened(findings: Findings) -> tuple[str, ...]:
    """Count how many settings the screen saw above, below and around lambda 0."""
    main = findings.main
    if main.stage != "screen":
        return ()
    above, below, around = (main.count(side) for side in ("above", "below", "around"))
    total = above + below + around
    lines = []
    if total:
        have = "has" if above == 1 else "have"
        lines.append(
            f"Screen: of {counted(total, 'setting')}, {above:,} {have} a 95 % interval wholly above the "
            f"baseline (worse), {below:,} wholly below, {around:,} around it; "
            f"with no effect at all about {_expected(total)} would miss it by chance."
        )
    return tuple(lines)


def lowest_of_screen(findings: Findings) -> tuple[str, ...]:
    """Name the setting with the lowest mean in the screen, and warn that the lowest of many was lucky too."""
    main, lowest, baseline = findings.main, findings.lowest, findings.main.baseline
    if lowest and baseline and main.stage == "screen":
        below_it = lowest.change is None or lowest.change.mean < 0
        seen = "Lowest mean seen" if below_it else "No setting averaged below the baseline; the lowest mean seen"
        own, base = figures_against(lowest, baseline)
        against = f"{findings.metric} {own}, baseline {base}: {changed(lowest)}"
        luck = "; the lowest of many looks lower than it is" if len(main.cells) > 1 and below_it else ""
        return (f"{seen}: {lowest.cell.label}, {against}{luck}.",)
    return ()


def _expected(comparisons: int) -> str:
    count = CHANCE * comparisons
    return f"{count:,.0f}" if count >= 10 else f"{count:.2g}"
