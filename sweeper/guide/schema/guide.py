"""The contents of a guide: frozen, plain, and written beside it as guide.json. Every number a reader sees is here."""

from __future__ import annotations

from sweeper.guide.schema.audits import Gate, HealthAudit, ProxyAudit, PruningAudit, SeedAudit
from sweeper.guide.schema.front import Front
from sweeper.guide.schema.heuristics import Heuristics
from sweeper.guide.schema.probe import Probe
from sweeper.guide.schema.results import (
    CellHealth,
    Cost,
    GridPage,
    GuidanceCurve,
    Highlight,
    Item,
    KeptModel,
    Means,
    OutcomeRow,
    PriorArt,
    RankCorrelation,
    StageResult,
    Trace,
)
from sweeper.guide.schema.statements import (
    Claim,
    ControlComparison,
    Interaction,
    KnobEffect,
    KnobPair,
    NextStudy,
    Recommendation,
    Rule,
    Verdict,
)
from sweeper.records import BASELINE_KEY
from sweeper.text.numbers import metric_name
from trainer.recipe import Frozen, numbered, recorded_metric


class Guide(Frozen):
    """All that a guide says; `distances` are the baseline's median pairwise distances by block, in tau's units.

    `rung_objective` is the objective of as many samples as rungs before the last draw; curves by step are of it.

    Its JSON schema is published by `sweeper schema --of guide`.
    """

    name: str
    question: str
    tuning: str
    objective: str
    rung_objective: str
    scope: str
    depth: int
    taps: tuple[str, ...] = ()
    recipe_hash: str
    verdict: Verdict
    summary: tuple[str, ...]
    recipe: tuple[Item, ...]
    stages: tuple[StageResult, ...]
    pages: tuple[GridPage, ...]
    off_grid: tuple[str, ...]
    highlights: tuple[Highlight, ...]
    health: tuple[CellHealth, ...]
    distances: tuple[float | None, ...]
    correlations: tuple[RankCorrelation, ...]
    claims: tuple[Claim, ...]
    side_claims: tuple[Claim, ...]
    controls: tuple[ControlComparison, ...]
    recommendation: Recommendation | None
    interaction: Interaction
    knobs: tuple[KnobEffect, ...]
    seeds: SeedAudit
    proxy: ProxyAudit
    pruning: PruningAudit
    health_audit: HealthAudit
    outcomes: tuple[OutcomeRow, ...]
    rules: tuple[Rule, ...]
    prior_art: tuple[PriorArt, ...]
    next_steps: tuple[str, ...]
    next_study: NextStudy | None
    cost: Cost
    protocol: tuple[Item, ...]
    provenance: tuple[Item, ...]
    # Fields that a guide.json of an earlier version lacks.
    models: tuple[KeptModel, ...] = ()
    guidance: tuple[GuidanceCurve, ...] = ()
    distance: str = "FID"  # what the objective is called, FID being Inception's; the domain extractor's is one as well
    heuristics: Heuristics = Heuristics(use=BASELINE_KEY)
    probe: Probe | None = None
    probe_words: tuple[str, ...] = ()
    preliminary: str = ""  # how far the study was, where it was not done
    traces: tuple[Trace, ...] = ()  # of the baseline, the controls and, where they are many, the lowest settings
    means: Means = "arithmetic"
    pairs: tuple[KnobPair, ...] = ()
    front: Front | None = None  # of a study with second objectives

    def words(self, metric: str) -> str:
        """Write a recorded metric's name for readers, e.g. 'FID-10K'."""
        return metric_name(metric, self.distance)

    @property
    def gates(self) -> dict[str, Gate]:
        """The audits of the guide's own methods, by name."""
        return {
            "proxy": self.proxy.gate,
            "pruning": self.pruning.gate,
            "seeds": self.seeds.gate,
            "health": self.health_audit.gate,
        }

    @property
    def judges_by_fid(self) -> bool:
        """Whether settings were judged by FID; the study says so where it is another metric."""
        recorded = recorded_metric(self.objective)
        return recorded is not None and recorded.metric.name == "fid"

    @property
    def main(self) -> StageResult:
        """The stage the tables describe: the screen, or else the one there is."""
        return self.stages[0]

    @property
    def confirm(self) -> StageResult | None:
        """The confirm stage, if it has begun."""
        return next((stage for stage in self.stages if stage.stage == "confirm"), None)

    @property
    def places(self) -> tuple[str, ...]:
        """The names of the model's taps; guides written before they had names number them."""
        return self.taps or numbered(self.depth)
