"""A guide's tables of claims, the recommended set, knobs, controls and audits."""

from __future__ import annotations

from collections.abc import Iterable

from sweeper.guide.schema.audits import Gate, Ranking
from sweeper.guide.schema.guide import Guide
from sweeper.guide.schema.results import Change
from sweeper.guide.schema.statements import Claim, ControlComparison, KnobEffect
from sweeper.render.tables.cell_figures import beside_baseline, cell_text, figures
from sweeper.render.tables.guide_tables import MOST_ROWS, table
from sweeper.render.tables.symbols import Marks
from sweeper.render.tables.table import Table
from sweeper.study.knobs import in_words
from sweeper.text import numbers


def claim_table(guide: Guide) -> Table:
    """Tabulate every arm of the confirm stage against the baseline in the objective."""
    marks, stage = Marks.of(guide), guide.confirm
    if stage is None or not guide.claims:
        return table((), ())
    arms = (*guide.claims, *(claim for claim in guide.side_claims if claim.metric == guide.objective))
    results, in_looks = {result.key: result for result in stage.rows}, any(claim.look for claim in arms)
    same = beside_baseline(stage, [results[claim.key] for claim in arms])
    rows: list[tuple[str, ...]] = [
        (
            claim.label,
            cell_text(results[claim.key], marks),
            *(figures(results[claim.key].against) for _ in same),
            claimed_change(claim),
            _p(claim),
            claim.direction,
            _standing(claim),
            *([str(claim.look)] if in_looks else []),
        )
        for claim in arms
    ]
    if stage.baseline:
        blank = ("",) * (len(same) + (5 if in_looks else 4))
        rows.insert(0, ("baseline, lambda 0", cell_text(stage.baseline, marks), *blank))
    head = ("change to the baseline [95 % together]", "p (Holm)", "tested", "standing")
    ended = ["ended after"] if in_looks else []
    return table(("fresh seeds", guide.words(guide.objective), *same, *head, *ended), rows)


def _standing(claim: Claim) -> str:
    if claim.suggests:
        return f"{claim.standing} of {claim.suggests}"
    return f"{claim.standing}: {claim.reason}" if claim.reason else claim.standing


def side_table(guide: Guide) -> Table:
    """Tabulate the claims about other outcomes."""
    claims = [claim for claim in guide.side_claims if claim.metric != guide.objective]
    rows = [
        (
            claim.label,
            guide.words(claim.metric),
            claimed_change(claim),
            _p(claim),
            claim.direction,
            f"confirmed {claim.direction}" if claim.confirmed else claim.standing,
        )
        for claim in claims
    ]
    head = ("fresh seeds", "outcome", "change to the baseline [95 % together]", "p (Holm)", "tested", "standing")
    return table(head, rows)


def _p(claim: Claim) -> str:
    return _small(claim.p)


def _small(p: float | None) -> str:
    if p is None:
        return numbers.MISSING
    return "<0.0001" if p < 1e-4 else f"{p:.2g}"


def claimed_change(claim: Claim) -> str:
    """Write what the fresh seeds say of an arm's change."""
    change = claim.change
    return numbers.confirmed_change(change.mean, change.low, change.high, claim.bound) if change else numbers.MISSING


def _change(change: Change | None) -> str:
    return numbers.change(change.mean, change.low, change.high) if change else numbers.MISSING


def control_table(guide: Guide) -> Table:
    """Tabulate settings that help against control arms."""
    rows = [
        (
            comparison.setting,
            comparison.control,
            _change(comparison.change),
            _better(comparison),
            comparison.control_standing,
        )
        for comparison in guide.controls
    ]
    head = ("setting", "control", "setting against control [95 %]", "better?", "the control by itself")
    return table(head, rows)


def _better(comparison: ControlComparison) -> str:
    if comparison.better:
        return "yes"
    return "no, worse" if comparison.outdone else "not shown"


def set_table(guide: Guide) -> Table:
    """Tabulate the recommended set, simplest first; too long a one is left to guide.json."""
    chosen = guide.recommendation
    if chosen is None or len(chosen.members) > MOST_ROWS:
        return table((), ())
    marks = Marks.of(guide)
    screen = {result.key: result for result in (guide.main.baseline, *guide.main.rows) if result}
    fresh = (
        {result.key: result for result in (guide.confirm.baseline, *guide.confirm.rows) if result}
        if guide.confirm
        else {}
    )
    claims = {claim.key: claim for claim in guide.claims}
    rows = [
        (
            ("lambda 0" if key == "baseline" else screen[key].cell.label) + (" ←" if key == chosen.first else ""),
            cell_text(screen[key], marks),
            figures(fresh.get(key)),
            claims[key].standing if key in claims else numbers.MISSING,
        )
        for key in chosen.members
        if key in screen
    ]
    return table(("not shown to be worse than another", "screen", "fresh seeds", "standing"), rows)


def pair_table(guide: Guide) -> Table:
    """Tabulate the tests of all pairs of knobs; none where block and tau are the only pair, which have a sentence."""
    if not guide.pairs or (len(guide.pairs) == 1 and guide.interaction.p is not None):
        return table((), ())
    rows = [
        (
            pair.words,
            pair.reason or f"F({pair.df}, {pair.df_residual}) = {numbers.figure(pair.f)}",
            _small(pair.p),
            _small(pair.adjusted),
            numbers.MISSING if pair.size is None else f"{numbers.signed(pair.size).removeprefix('+')} %",
            str(pair.settings),
            numbers.MISSING if pair.p is None else "seen" if pair.seen else "not seen",
        )
        for pair in guide.pairs
    ]
    family = sum(pair.p is not None for pair in guide.pairs)
    head = ("pair", "test", "p", f"p (Holm over {family})", "typical size", "settings", "interaction")
    return table(head, rows)


def knob_table(guide: Guide) -> Table:
    """Tabulate how far each knob can move."""
    rows = [
        (_averaged(knob), level.level, "lowest" if level.reach == "lowest" else _change(level.change))
        for knob in guide.knobs
        for level in knob.levels
    ]
    metric = guide.words(guide.objective)
    return table(("knob", "level", f"{metric} against the lowest level [95 %]"), rows)


def _averaged(knob: KnobEffect) -> str:
    over = " and ".join(map(in_words, knob.depends_on))
    return f"{knob.words} (depends on {over})" if over else knob.words


def proxy_table(guide: Guide) -> Table:
    """Tabulate the finalists by proxy and by full metric."""
    audit = guide.proxy
    if audit.full is None:
        return table((), ())
    names = (guide.words(guide.objective), guide.words(audit.full))
    rows = [
        (
            label,
            numbers.figure(proxy),
            numbers.figure(full),
            _in(label, audit.proxy_set),
            _in(label, audit.full_set),
        )
        for label, proxy, full in audit.rows
    ]
    return table(("finalist", *names, "may be best by proxy", "by full metric"), rows)


def _in(label: str, members: Iterable[str]) -> str:
    return "yes" if label in members else "no"


def pruning_table(guide: Guide) -> Table:
    """Tabulate the settings that were spared to check the pruner."""
    metric = guide.words(guide.objective)
    rows = [
        (label, numbers.figure(mean), "yes: killed wrongly" if best else "no")
        for label, mean, best in guide.pruning.rows
    ]
    return table(("would have been stopped, ran on", f"{metric} at the end", "among the best?"), rows)


def audit_table(guide: Guide) -> Table:
    """Tabulate the four audits and whether they pass."""
    rows = [(name, passed(gate), gate.says) for name, gate in guide.gates.items()]
    return table(("audit", "gate", "finding"), rows)


def passed(gate: Gate) -> str:
    """Write whether a gate passes."""
    return "not measured" if gate.passed is None else "passes" if gate.passed else "fails"


def ranking(found: Ranking | None) -> str:
    """Write a rank agreement with its interval."""
    if found is None:
        return "too few to tell"
    ends = "" if found.low is None or found.high is None else f" [{found.low:+.2f}, {found.high:+.2f}]"
    return f"{found.rho:+.2f}{ends} (n = {found.n})"
