"""The simulation as a page: what was promised, the worst scenario of each promise, every scenario, how it was run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tests.simulation.bars import BARS, BESIDE, Bar, Estimate, Figures, Tallies, missed
from tests.simulation.pruning import BARS as PRUNER_BARS
from tests.simulation.pruning import PruningRow
from tests.simulation.pruning import markdown as pruning_markdown
from tests.simulation.worlds import Scenario

COLUMNS = (
    *("surface", "noise", "seeds", "false confirmed %", "in the objective %", "coverage %", "of a table %"),
    *("of a guide %", "bias sd", "of confirmed gains sd", "best inside %", "set size", "unique %", "wrong unique %"),
    *("regret sd", "power %", "control %", "better than it %", "fresh trials", "transfer %", "false helps %"),
    *("false equivalence %", "interaction %", "screen coverage %", "verdicts"),
)


def page(tallies: Tallies, pruning: Sequence[PruningRow], provenance: Iterable[tuple[str, str]]) -> str:
    """Write everything as markdown."""
    parts = [
        "# Simulation of the guide",
        "Synthetic ledgers with a known truth (`tests/simulation/worlds.py`) go through the real race, the real choice "
        "of candidates and `assemble_guide(record)`, the function the CLI calls. sd is the noise of one trial.",
        "\n".join(f"- {name}: {value}" for name, value in provenance),
        "## What is promised, and the worst scenario of each",
        _promises(tallies, pruning),
        "Limits are one-sided 95 % Monte-Carlo limits (shares: Clopper and Pearson; means: normal). A bar holds when "
        "the figure is within it and the limit within one point (.01 sd) of it.",
        "## What else a reader would ask",
        _bar_table(BESIDE, tallies),
        "## Every bar missed",
        _misses(tallies),
        "## Every scenario",
        "Coverage is that of intervals one by one, of all arms in the objective together, and of all metrics together, "
        "which nobody promises. Bias is that of all fresh-seed changes that a guide prints; of those that are called "
        "confirmed, the mean is too good wherever power is low, since a lucky one is confirmed more easily. Of "
        "controls: how often one that helps is confirmed to, and a setting that gains 3 sd to be better than one that "
        "does nothing.",
        scenario_table(tallies),
    ]
    if pruning:
        parts += ["## The pruner", pruning_markdown(pruning)]
    return "\n\n".join(parts) + "\n"


def _promises(tallies: Tallies, pruning: Sequence[PruningRow]) -> str:
    rows = [_bar_row(bar, tallies) for bar in BARS]
    for crossing in ("moderate", "strong"):
        known = [row for row in pruning if row.scenario.crossing == crossing]
        if known:
            low = max(known, key=lambda row: row.best_stopped)
            bar = PRUNER_BARS[crossing]
            at = f"{low.scenario.surface}, {low.scenario.noise}, sd {low.scenario.sd:g}"
            kept = "MISSED" if low.best_stopped > bar else "holds" if low.holds else "holds, its limit does not"
            name = f"default pruner removes the best cell ({crossing} crossing)"
            told = (f"{100 * share:.1f} %" for share in (low.best_stopped, low.upper))
            rows.append([name, f"<= {100 * bar:g} %", at, *told, kept])
    return _table(("quantity", "bar", "worst scenario", "there", "limit", "kept?"), rows)


def _bar_table(bars: Iterable[Bar], tallies: Tallies) -> str:
    head = ("quantity", "bar", "worst scenario", "there", "limit", "kept?")
    return _table(head, [_bar_row(bar, tallies) for bar in bars])


def _bar_row(bar: Bar, tallies: Tallies) -> list[str]:
    found = bar.all_found(tallies)
    promise = f"{bar.sense} {_number(bar, bar.bar)}"
    if not found:
        return [bar.name, promise, "not simulated", "", "", ""]
    scenario, estimate = found[0]
    return [bar.name, promise, _named(scenario), *_told(bar, estimate), _kept(bar, found)]


def _kept(bar: Bar, found: Sequence[tuple[Scenario, Estimate]]) -> str:
    standings = [bar.standing(estimate) for _, estimate in found]
    broken, near = standings.count("MISSED"), standings.count("holds, its limit does not")
    if broken:
        return f"MISSED ({broken} of {len(found)} scenarios)"
    return f"holds, but not the limit in {near} of {len(found)} scenarios" if near else "holds"


def _misses(tallies: Tallies) -> str:
    rows = [
        [bar.name, _named(scenario), *_told(bar, found)] for bar, scenario, found in missed(tallies, (*BARS, *BESIDE))
    ]
    return _table(("quantity", "scenario", "there", "limit"), rows) if rows else "None."


def _told(bar: Bar, found: Estimate) -> list[str]:
    return [_number(bar, found.value), _number(bar, found.limit)]


def _number(bar: Bar, value: float) -> str:
    return f"{100 * value:.4g} %" if bar.unit == "%" else f"{value:.3f} sd"


def _named(scenario: Scenario) -> str:
    seeds = f"looks to {scenario.seeds}" if scenario.in_looks else f"{scenario.seeds} seeds"
    return f"{scenario.surface}, {scenario.noise}, {seeds}"


def scenario_table(tallies: Tallies) -> str:
    """Write one line a scenario."""
    return _table(COLUMNS, [[*map(str, scenario), *_figures(figures)] for scenario, figures in tallies.items()])


def _figures(figures: Figures) -> list[str]:
    verdicts = sorted(
        ((count, name.removeprefix("verdict ")) for name, count in figures.items() if name.startswith("verdict ")),
        reverse=True,
    )
    return [
        _percent(figures, "false confirmed", "studies"),
        _percent(figures, "false confirmed objective", "studies"),
        _percent(figures, "intervals covered", "intervals"),
        _percent(figures, "tables covered", "tables"),
        _percent(figures, "claimed studies covered", "claimed studies"),
        _mean(figures, "bias", "gains", "+.3f"),
        _mean(figures, "confirmed bias", "confirmed gains", "+.3f"),
        _percent(figures, "best inside", "studies"),
        _mean(figures, "members", "recommendations", ".1f"),
        _percent(figures, "unique", "studies"),
        _percent(figures, "wrong unique", "studies"),
        _mean(figures, "regret", "recommendations", ".2f"),
        _percent(figures, "power", "studies") if "power" in figures else "",
        _percent(figures, "control found", "studies") if "control found" in figures else "",
        _percent(figures, "better found", "studies") if "better found" in figures else "",
        _mean(figures, "fresh trials", "studies", ".1f"),
        _percent(figures, "transfer", "pairs"),
        _percent(figures, "false helps", "studies"),
        _percent(figures, "false equivalent", "studies"),
        _percent(figures, "interaction rejected", "interaction tested"),
        _percent(figures, "screen intervals covered", "screen intervals"),
        ", ".join(f"{name} {100 * count / figures['studies']:.0f}" for count, name in verdicts),
    ]


def _percent(figures: Figures, count: str, of: str) -> str:
    return f"{100 * figures.get(count, 0) / figures[of]:.1f}" if figures.get(of) else ""


def _mean(figures: Figures, total: str, of: str, form: str) -> str:
    return f"{figures.get(total, 0) / figures[of]:{form}}" if figures.get(of) else ""


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
