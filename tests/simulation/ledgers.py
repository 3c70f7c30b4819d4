"""From a world to a study's record: the screen under the real race, candidates by their means, fresh seeds."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sweeper.guide.analysis.worth_confirming import ranked
from sweeper.planning.cells import cells
from sweeper.records import Cell, Rung, StudyRecord, TrialRecord, TrialSpec, TrialState
from sweeper.records import Stage as StageName
from sweeper.search.eligibility import eligible
from sweeper.search.pruning import Pruning, is_audited
from sweeper.search.store import Entry
from sweeper.statistics.look_families import Arms, Open, still_open
from sweeper.statistics.looks import Judging, prior_of_screen
from sweeper.statistics.moments import moments
from sweeper.study import Study, fresh_seeds
from tests.simulation.worlds import BLOCKS, LOOKED, OUTCOMES, SCREEN_SEEDS, Array, Scenario, Stage, World, stage
from tests.sweeper.guide.study_records import FACTS, make_record, make_study
from trainer.recipe import Better

LEVEL = 12.0
STEPS = 800
TOP = 3
MARGIN = 0.05
TAU = (0.125, 0.25, 0.5, 1.0, 2.0)
# Depth of the models of a pair of studies; BLOCKS blocks of each, at the same fractions of its depth.
DEPTHS = (BLOCKS, 2 * BLOCKS)


@dataclass(frozen=True)
class Design:
    """A study and its trials, built once: `screen[c][s]` and `fresh[c][s]` are trials of configuration c."""

    study: Study
    cells: tuple[Cell, ...]
    keys: tuple[str, ...]
    screen: tuple[tuple[TrialSpec, ...], ...]
    fresh: tuple[tuple[TrialSpec, ...], ...]

    @functools.cached_property
    def place(self) -> dict[str, int]:
        """Which configuration a key belongs to."""
        return {key: c for c, key in enumerate(self.keys)}


@functools.cache
def design(seeds: int, depth: int = DEPTHS[0]) -> Design:
    """Return the design with so many fresh seeds, for a model of `depth` blocks."""
    seeded = {"seeds": "auto", "limit": seeds} if seeds in LOOKED else {"seeds": seeds}
    study = make_study(
        name="simulated",
        recipe={"model": {"preset": "compact", "depth": depth}, "train": {"steps": STEPS}},
        space={"block": list(range(0, depth, depth // BLOCKS)), "lambda": [0.25], "tau": list(TAU)},
        controls=[{"name": "weight-decay", "set": {"train.weight_decay": 0.5}}],
        screen={"seeds": SCREEN_SEEDS},
        confirm={"top": TOP, "margin": MARGIN, **seeded},
    )
    assert study.confirm is not None
    known = cells(study)
    fresh = fresh_seeds(study)
    return Design(
        study,
        known,
        tuple(cell.key for cell in known),
        screen=tuple(_specs("screen", cell, study.screen.seeds) for cell in known),
        fresh=tuple(_specs("confirm", cell, fresh) for cell in known),
    )


def _specs(at: StageName, cell: Cell, seeds: Sequence[int]) -> tuple[TrialSpec, ...]:
    return tuple(TrialSpec(stage=at, cell=cell, seed=seed) for seed in seeds)


def record(scenario: Scenario, truth: World, plan: Design, number: int, rng: np.random.Generator) -> StudyRecord:
    """Run a study of a world and return what the ledger would hold; `number` tells studies, and their audits, apart."""
    study = plan.study.model_copy(update={"name": f"simulated_{number}"})
    screened, chosen = _screen(study, plan, stage(scenario, truth, SCREEN_SEEDS, rng))
    fresh = stage(scenario, truth, scenario.seeds, rng)
    arms = sorted({0, *chosen, len(plan.cells) - 1})
    took = _looks(plan, screened, chosen, fresh) if scenario.in_looks else {}
    confirmed = [
        _ended(plan.fresh[c][s], fresh, c, s, "diverged" if fresh.diverged_CS[c, s] else "complete")
        for s in range(scenario.seeds)
        for c in arms
        if s < took.get(c, scenario.seeds)
    ]
    return _template(scenario.seeds).model_copy(update={"study": study, "trials": (*screened, *confirmed)})


def _looks(plan: Design, screened: Sequence[TrialRecord], chosen: Sequence[int], fresh: Stage) -> dict[int, int]:
    """Return how many fresh seeds each arm takes, by configuration: the looks as the coordinator replays them."""
    measured = {trial.spec.key: trial.rungs[-1].metrics["fid_10k"] for trial in screened if trial.state == "complete"}
    log_CS = np.log([[measured.get(spec.key, np.nan) for spec in specs] for specs in plan.screen])
    mean_C = moments(log_CS - log_CS[0]).mean
    control = len(plan.cells) - 1
    value_CS = np.where(fresh.diverged_CS, np.nan, np.exp(fresh.end_CS))
    assert plan.study.confirm is not None
    judging = Judging(plan.study.confirm.schedule, prior_of_screen(log_CS[1:-1], log_CS[0]))
    took, open_ = {}, Open(frozenset(range(len(chosen))), frozenset({0}))
    for look in judging.looks:
        going = [chosen[k] for k in open_.settings] + [control] * bool(open_.controls)
        took.update(dict.fromkeys([0, *going] if going else [], look))
        settings = Arms(value_CS[chosen, :look], _directions(mean_C[chosen]))
        controls = Arms(value_CS[[control], :look], _directions(mean_C[[control]]), rivals=[True])
        open_ = still_open(value_CS[0, :look], settings, controls, judging)
    return took


def _directions(mean_C: Array) -> list[Better]:
    return ["higher" if mean >= 0 else "lower" for mean in mean_C]


@functools.cache
def _template(seeds: int) -> StudyRecord:
    study = design(seeds).study
    assert study.confirm is not None
    if seeds not in LOOKED:
        return make_record(study, ())
    return make_record(study, ()).model_copy(
        update={"fresh_seeds": fresh_seeds(study), "looks": study.confirm.schedule}
    )


def _screen(study: Study, plan: Design, drawn: Stage) -> tuple[list[TrialRecord], list[int]]:
    """Run the screen seed block by seed block; return its trials and the configurations that go on to fresh seeds."""
    pruning = Pruning(study.screen.pruner, study.screen.rungs, study.name)
    trials: list[TrialRecord] = []
    entries: list[Entry] = []
    half_CS, end_CS = LEVEL * np.exp(drawn.half_CS), LEVEL * np.exp(drawn.end_CS)
    for s in range(SCREEN_SEEDS):
        block = [Entry(spec[s], len(entries) + c, c, "running") for c, spec in enumerate(plan.screen)]
        alive = [entry for entry in block if not pruning.stops(entry) or is_audited(study, entry.spec.cell)]
        for entry in alive:
            pruning.observe(entry, 0, float(half_CS[entry.number, s]))
        pruning.update()
        started = {entry.number for entry in alive}
        for c, entry in enumerate(block):
            stopped = pruning.stops(entry)
            audited = stopped and is_audited(study, entry.spec.cell)
            entry.state = "pruned" if stopped and not audited else "diverged" if drawn.diverged_CS[c, s] else "complete"
            if entry.state == "complete":
                entry.value = float(end_CS[c, s])
                pruning.observe(entry, 1, entry.value)
            trials.append(_ended(entry.spec, drawn, c, s, entry.state, c in started, audited))
            pruning.ended(entry)
        entries += block
    pruning.update()
    logs = {cell.key: [] for cell in eligible(entries, pruning.eliminated)}
    for entry in entries:
        if entry.spec.cell.key in logs and entry.state == "complete" and entry.value is not None:
            logs[entry.spec.cell.key].append(math.log(entry.value))
    # By means: a surface is a tenth of a second a study, a day for all scenarios, and changes no error rate.
    return trials, [plan.place[key] for key in ranked(logs)[:TOP]]


def _ended(
    spec: TrialSpec, drawn: Stage, c: int, s: int, state: TrialState, started: bool = True, audited: bool = False
) -> TrialRecord:
    """Return a trial as recorded: what it measured before it ended; not validated, to save time."""
    rungs = []
    if started and spec.stage == "screen":
        rungs.append(_rung(spec, STEPS // 2, {"fid_10k": LEVEL * np.exp(drawn.half_CS[c, s])}))
    if state == "complete":
        rungs.append(_rung(spec, STEPS, {"fid_10k": LEVEL * np.exp(drawn.end_CS[c, s]), **_outcomes(drawn, c, s)}))
    return TrialRecord.model_construct(
        spec=spec, state=state, rungs=tuple(rungs), facts=FACTS if rungs else None, note="", audited=audited
    )


def _rung(spec: TrialSpec, step: int, measured: dict[str, float]) -> Rung:
    metrics = {name: float(value) for name, value in measured.items()}
    metrics |= {"train_loss": 0.2, "train_s": 20.0 * step / STEPS, "eval_s": 14.0, "cpu_s": 30.0}
    if spec.cell.role == "grid":
        metrics |= {"floor_share": 0.0, "floor_distance": 1.0}
    return Rung.model_construct(step=step, metrics=metrics)


def _outcomes(drawn: Stage, c: int, s: int) -> dict[str, float]:
    logs_M: Array = drawn.side_MCS[:, c, s]
    return {name: level * np.exp(log) for (name, (level, _)), log in zip(OUTCOMES.items(), logs_M, strict=True)}
