"""The results that verdict, rules and next steps use, and how they write a cell's figures."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from sweeper.guide.analysis.heuristics import alike
from sweeper.guide.analysis.settings_against_controls import rival
from sweeper.guide.analysis.stage_table import Evidence
from sweeper.guide.schema.audits import HealthAudit, ProxyAudit, PruningAudit, SeedAudit
from sweeper.guide.schema.heuristics import Heuristics
from sweeper.guide.schema.results import CellResult, Change, GeometricMean, StageResult
from sweeper.guide.schema.statements import (
    Claim,
    ControlComparison,
    Interaction,
    KnobEffect,
    KnobPair,
    Recommendation,
    Standing,
)
from sweeper.guide.wording.arms import called
from sweeper.records import BASELINE_KEY, StudyRecord
from sweeper.text.numbers import change, confirmed_change, counted, metric_name, spread

SATURATED = 0.10
# A standing as a sentence has it: 'is confirmed to hurt'.
SAID: dict[Standing, str] = {
    "confirmed helps": "confirmed to help",
    "confirmed hurts": "confirmed to hurt",
    "equivalent": "equivalent",
    "suggestive": "suggestive",
    "no evidence either way": "without evidence either way",
    "not comparable": "not comparable",
}


def said(claim: Claim) -> str:
    """Write a claim's standing; one that only suggests something says what."""
    return f"suggestive of {claim.suggests}" if claim.suggests else SAID[claim.standing]


class Findings(NamedTuple):
    """The results behind the advice; `lowest` is the setting with the lowest mean, among those not stopped."""

    record: StudyRecord
    known: Evidence
    main: StageResult
    fresh: StageResult | None
    lowest: CellResult | None
    seeds: SeedAudit
    claims: tuple[Claim, ...]
    side_claims: tuple[Claim, ...]
    finished: bool
    controls: tuple[ControlComparison, ...]
    recommendation: Recommendation | None
    interaction: Interaction
    knobs: tuple[KnobEffect, ...]
    proxy: ProxyAudit
    pruning: PruningAudit
    health: HealthAudit
    worth_confirming: tuple[str, ...] = ()
    pairs: tuple[KnobPair, ...] = ()
    heuristics: Heuristics = Heuristics(use=BASELINE_KEY, reason="it was not asked for")

    @property
    def metric(self) -> str:
        """The objective's name for readers."""
        return self.named(self.known.objective)

    def named(self, recorded: str) -> str:
        """Write a recorded metric's name for readers."""
        return metric_name(recorded, self.record.study.recipe.eval.distance)

    @property
    def confirming(self) -> StageResult | None:
        """The confirm stage, finished or not."""
        return self.fresh or (self.main if self.main.stage == "confirm" else None)

    def rival(self, setting: Claim) -> ControlComparison | None:
        """The control without dispersion that does about as well as a setting that helps, if there is one."""
        return rival(setting, self.controls)

    def arm(self, label: str) -> str:
        """How readers know a control: 'plain control weight-decay', or 'control arm repa'."""
        return next(called(cell) for cell in self.known.cells.values() if (cell.role, cell.label) == ("control", label))

    def standing(self, *wanted: Standing) -> list[Claim]:
        """The claims about settings that stand so, lowest change first."""
        found = [claim for claim in self.claims if claim.standing in wanted]
        return sorted(found, key=lambda claim: (claim.change.mean if claim.change else 0.0, claim.key))

    def label(self, key: str) -> str:
        """How readers know a cell; a saturated one is flagged wherever it is named."""
        if key == BASELINE_KEY:
            return "lambda 0"
        saturated = any(
            result.key == key and result.saturated
            for stage in (self.main, self.fresh)
            if stage
            for result in stage.rows
        )
        return self.known.cells[key].label + (" ◦" if saturated else "")

    def result(self, key: str) -> CellResult | None:
        """What the confirm stage measured of a cell, or else the screen."""
        stages = [stage for stage in (self.confirming, self.main) if stage]
        rows = (one for stage in stages for one in (stage.baseline, *stage.rows) if one)
        return next((one for one in rows if one.key == key), None)


def unstopped(results: Iterable[CellResult]) -> list[CellResult]:
    """The measured cells no trial of which was stopped, would have been, or diverged; lowest mean first."""
    whole = [
        result
        for result in results
        if result.mean is not None and not result.audited and not {"pruned", "diverged"} & result.states.keys()
    ]
    return sorted(whole, key=lambda result: (result.mean or 0.0, result.key))


def candidates(findings: Findings) -> list[CellResult]:
    """The settings that a confirm stage would take, but for those that the screen saw worse than lambda 0.

    Worse is an interval wholly above it, or a mean above it by more than the margin, which is all that one seed has.
    """
    cells = {result.key: result for result in findings.main.cells}
    chosen = (cells[key] for key in findings.worth_confirming)
    return [result for result in chosen if not (result.change and _is_worse(result.change, findings.seeds.margin))]


def _is_worse(change: Change, margin: float) -> bool:
    return change.side == "above" or change.mean > margin


def comparable(findings: Findings) -> list[Claim]:
    """Return the claims about settings that differ from the study's own in block, lambda and tau alone."""
    return [claim for claim in findings.claims if is_comparable(findings, claim.key)]


def is_comparable(findings: Findings, key: str) -> bool:
    """Whether a setting differs from the study's own in block, lambda and tau alone: in other units tau is another."""
    cells = findings.known.cells
    own = [cell.dispersion for cell in cells.values() if cell.role == "grid" and not cell.mark]
    return not own or alike(cells[key].dispersion, own)


def held_open(findings: Findings) -> set[str]:
    """The settings that are still open, by fresh seeds or before them; no rule about a knob may contradict them."""
    open_claims = findings.standing("confirmed helps", "equivalent", "suggestive")
    worth = () if findings.confirming else candidates(findings)
    return {*(claim.key for claim in open_claims), *(result.key for result in worth)}


def changed(result: CellResult) -> str:
    """Write a cell's change to the baseline with its interval."""
    return "no shared seed with the baseline" if result.change is None else written(result.change)


def written(effect: Change) -> str:
    """Write a change with its interval."""
    return change(effect.mean, effect.low, effect.high)


def claimed(claim: Claim) -> str:
    """Write a claim's change with its interval and number of seeds."""
    if claim.change is None:
        return claim.reason
    return f"{effect_of(claim)}, n = {claim.change.n}"


def fresh_seeds(claims: Iterable[Claim]) -> str:
    """Count the fresh seeds that claims rest on: '8 fresh seeds', '3 to 8 fresh seeds' where they ended in looks."""
    measured = sorted({claim.change.n for claim in claims if claim.change}) or [0]
    least, most = measured[0], measured[-1]
    return counted(most, "fresh seed") if least == most else f"{least} to {most} fresh seeds"


def effect_of(claim: Claim) -> str:
    """Write a claim's change with its interval or the bound of its test, or why there is none."""
    if claim.change is None:
        return claim.reason
    return confirmed_change(claim.change.mean, claim.change.low, claim.change.high, claim.bound)


def figure_of(result: CellResult | GeometricMean) -> str:
    """Write a cell's mean, spread and number of seeds."""
    return f"{spread(result.mean, result.sd)} (n = {result.n})"


def figures_against(result: CellResult, baseline: CellResult) -> tuple[str, str]:
    """Write a cell's figure and the baseline's on the same seeds, whose ratio is the change printed beside them."""
    return figure_of(result), figure_of(result.against or baseline)


def listed(labels: Iterable[str], most: int = 4) -> str:
    """Write several names in a list: 'a, b and 3 more'."""
    known = list(labels)
    shown = known if len(known) <= most else known[: most - 1]
    rest = len(known) - len(shown)
    if rest:
        return f"{'; '.join(shown)}; and {rest:,} more"
    return "; ".join(shown)
