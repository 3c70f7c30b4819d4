"""What it takes to compare or repeat a study: recipe, protocol, cost and provenance, as named facts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np

from sweeper.guide.analysis.stage_table import Evidence, number
from sweeper.guide.schema.audits import SeedAudit
from sweeper.guide.schema.results import Cost, Item
from sweeper.guide.wording import scope
from sweeper.guide.wording.arms import arm_items
from sweeper.guide.wording.loss_forms import forms
from sweeper.plan.trials import rung_steps
from sweeper.records import FINAL_STATES, Facts, StudyRecord, TrialRecord, TrialState
from sweeper.statistics.levels import OBJECTIVE_ALPHA, SET_ALPHA, SIDE_ALPHA, UNIQUE_ALPHA
from sweeper.study import Screen, Study
from sweeper.study.pruner_facts import PRUNERS
from sweeper.text.numbers import counted, figure, metric_name, percent
from trainer.recipe import (
    METRICS,
    DataRecipe,
    Dispersion,
    EvalRecipe,
    SiTRecipe,
    TrainRecipe,
    fid_name,
    recorded_metrics,
)
from trainer.recipe.auxiliary_losses import Encoder
from trainer.recipe.evaluation import GUIDED_BY_PUBLIC_CODE
from trainer.recipe.metrics import PROBE_IMAGES, PROBE_NEIGHBOURS, PROBE_PENALTY, VALIDATION_IMAGES

ORDER: tuple[TrialState, ...] = ("complete", "pruned", "diverged", "failed", "running", "waiting")

ENCODERS: Mapping[Encoder, str] = {
    # Both learn the classes of one data set, so that what is aligned with one may look better through the other.
    "local": "a convnet built as the domain extractor is, trained apart on the images that are trained on",
    "dinov2": "DINOv2's patch tokens",
}


def recipe_items(study: Study, facts: Iterable[Facts]) -> tuple[Item, ...]:
    """Name what every trial shares."""
    data, model, train = study.recipe.data, study.recipe.model, study.recipe.train
    return (
        Item(name="data", value=f"{scope.data(data, facts)}, {100 * data.holdout:g} % held out{_as_trained_on(data)}"),
        Item(
            name="model",
            value=model.words,
        ),
        Item(
            name="training",
            value=f"{counted(train.steps, 'step')}, batch {train.batch}, AdamW lr {train.lr:g} "
            f"(beta {train.beta1:g}, {train.beta2:g}; weight decay {train.weight_decay:g}), "
            f"warm-up {train.warmup}, {_schedule(train)}, {train.precision}{_auxiliary(train)}",
        ),
        # SiT's velocity goes without saying: guides of one training have to have the same words as they always had.
        *((Item(name="objective", value=study.recipe.objective.words),) if study.recipe.objective.words else ()),
        Item(name="average and labels", value=f"EMA {train.ema:g}, label drop {train.label_drop:g}"),
    )


def _as_trained_on(data: DataRecipe) -> str:
    scaled = ""
    if data.scale is not None or data.shift is not None:
        scaled = f", latents as (x - {data.shift or 0:g}) * {1 if data.scale is None else data.scale:g}"
    return scaled + (", a random half of every batch mirrored" if data.flip else "")


def _schedule(train: TrainRecipe) -> str:
    decay = {"cosine": "cosine decay", "constant": "then constant"}[train.schedule]
    return decay if train.clip is None else f"{decay}, gradient norm at most {train.clip:g}"


def _guidance(evaluation: EvalRecipe) -> str:
    if evaluation.cfg == 1:
        return "none"
    first, last = evaluation.cfg_interval
    where = "" if (first, last) == (0, 1) else f", from {percent(first)} to {percent(last)} of the way to data"
    what = {"all": "", "public": f", of the first {GUIDED_BY_PUBLIC_CODE} channels alone, as the public code does"}
    return f"scale {evaluation.cfg:g}{where}{what[evaluation.cfg_channels]}"


def _auxiliary(train: TrainRecipe) -> str:
    repa, contrastive = train.repa, train.contrastive
    parts = [f"REPA at block {repa.block}, lambda {repa.lam:g}, encoder {repa.encoder}"] if repa else []
    if contrastive:
        parts.append(
            f"a contrastive loss at block {contrastive.block}, lambda {contrastive.lam:g}, tau {contrastive.tau:g}, "
            f"{contrastive.distance}, {contrastive.times} times"
        )
    return "".join(f"; with {part}" for part in parts)


def _encoder(study: Study, facts: Iterable[Facts]) -> list[Item]:
    hashes = dict.fromkeys(one.encoder_sha256 for one in facts if one.encoder_sha256)
    recipes = (study.recipe, *(study.recipe.override(arm.set) for arm in study.controls))
    words = dict.fromkeys(ENCODERS[recipe.train.repa.encoder] for recipe in recipes if recipe.train.repa)
    value = f"{'; '.join(words)}; FID never looks through it; SHA-256 {'; '.join(hashes)}"
    return [Item(name="REPA's encoder", value=value)] if hashes else []


def _fine_print(study: Study) -> str:
    """State what replications differ in without saying so."""
    train, model = study.recipe.train, study.recipe.model
    parts = [f"t times {train.time_scale:g} before its embedding", "EMA decay at most (1 + step) / (10 + step)"]
    if isinstance(model, SiTRecipe):
        parts += [f"MLP ratio {model.mlp_ratio:g}", f"{model.gelu} GELU"]
    return ", ".join(parts)


def protocol_items(
    study: Study,
    facts: Sequence[Facts],
    seeds: SeedAudit,
    recorded: Iterable[str],
    settings: Collection[Dispersion] = (),
) -> tuple[Item, ...]:
    """Name everything a figure depends on: how samples were drawn, scored and compared.

    `recorded` are a study's metrics, `settings` those of the loss.
    """
    evaluation, screen, known = study.recipe.eval, study.screen, list(facts)
    metric = metric_name(study.objective, evaluation.distance)
    return (
        Item(name="samples", value=f"{evaluation.samples:,}, classes balanced, rounded to uint8, the EMA weights"),
        Item(name="features", value=_extractor(study, known)),
        Item(name="reference", value=_reference(study, known)),
        Item(name="solver", value=f"{evaluation.solver}, {evaluation.nfe} NFE"),
        Item(name="guidance (CFG)", value=_guidance(evaluation)),
        Item(name="fine print", value=_fine_print(study)),
        Item(
            name="randomness", value="a function of (seed, step): cells of one seed share weights, data, noise, labels"
        ),
        *((Item(name="loss", value=said),) if (said := forms(settings)) else ()),
        *_beside_the_objective(study, recorded),
        Item(name="health", value=f"on {evaluation.probe} held-out images; loss and its floor on training batches"),
        *arm_items(study),
        *_encoder(study, known),
        *((Item(name="linear probe", value=_probe(evaluation)),) if evaluation.linear_probe != "none" else ()),
        Item(name="screen", value=_screen(screen)),
        Item(name="rungs", value=_rungs(study)),
        Item(name="pruner", value=PRUNERS[screen.pruner].words),
        Item(name="pruning audit", value=_audit(screen)),
        Item(name="confirm", value=_confirm(study, seeds)),
        Item(
            name="tests",
            value=f"one-sided paired t on log {metric}, in the direction the screen saw, Holm; "
            f"false claims at most {percent(OBJECTIVE_ALPHA)} over settings, {percent(SIDE_ALPHA)} over other outcomes "
            "and controls",
        ),
        Item(
            name="recommended set",
            value=f"multiple comparisons with the best (Hsu), {percent(SET_ALPHA)} in each stage; a single best at "
            f"{percent(UNIQUE_ALPHA)}",
        ),
    )


def _beside_the_objective(study: Study, recorded: Iterable[str]) -> list[Item]:
    """Describe how other metrics are measured: those recorded, or before there are any those that will be."""
    found = [known.metric for known in recorded_metrics(recorded) if known.metric.protocol]
    by_rung: dict[str, dict[str, None]] = {}
    foreseen = [metric for name, metric in METRICS.items() if study.recipe.eval.measures(name)]
    for metric in found or foreseen:
        if metric.protocol:
            by_rung.setdefault(metric.measured, {})[metric.protocol] = None
    return [Item(name=rung, value="; ".join(words)) for rung, words in by_rung.items()]


def _extractor(study: Study, facts: list[Facts]) -> str:
    named = dict.fromkeys(f"{one.extractor}, SHA-256 {one.extractor_sha256}" for one in facts)
    decoder = study.recipe.eval.decoder
    decoded = f"; of pixels that {decoder} decodes latents to" if decoder else ""
    return ("; ".join(named) or study.recipe.eval.extractor) + decoded


def _reference(study: Study, facts: list[Facts]) -> str:
    recipe = study.recipe
    if recipe.eval.reference is None:
        return f"the whole training split of {recipe.data.path or recipe.data.name}, same features"
    known = _distinct(one.reference_sha256 for one in facts if one.reference_sha256)
    return f"the statistics in {recipe.eval.reference}, SHA-256 {known}"


def _probe(evaluation: EvalRecipe) -> str:
    levels = ", ".join(f"{level:g}" for level in evaluation.probe_levels)
    return (
        f"at {evaluation.linear_probe}; tokens averaged over an image, label hidden, noise at t = {levels} (shares of "
        f"training's times); fitted on up to {PROBE_IMAGES:,} training images, tested on up to {VALIDATION_IMAGES:,} "
        f"held-out ones; ridge regression of penalty {PROBE_PENALTY:g} an image, {PROBE_NEIGHBOURS} nearest neighbours"
    )


def _screen(screen: Screen) -> str:
    budget = f", {counted(screen.trials, 'trial')}" if screen.trials else ""
    return f"{screen.sampler}{budget}, seeds {', '.join(map(str, screen.seeds))}"


def _rungs(study: Study) -> str:
    steps = ", ".join(f"{step:,}" for step in rung_steps(study, study.recipe))
    evaluation = study.recipe.eval
    fewer = evaluation.samples_at(last=False)
    metric = metric_name(fid_name(fewer), evaluation.distance)
    before = f"; before the last by {metric}" if fewer < evaluation.samples else ""
    return f"measured at step {steps}{before}"


def _audit(screen: Screen) -> str:
    if PRUNERS[screen.pruner].stops == "nothing" or not screen.audit_fraction:
        return "none"
    return f"a random {percent(screen.audit_fraction)} of the settings it would stop run to their end"


def _confirm(study: Study, audit: SeedAudit) -> str:
    confirm = study.confirm
    if confirm is None:
        return "not planned"
    what = (
        f"top {confirm.top}, marked settings, controls and the baseline; no pruning; margin {percent(confirm.margin)}"
    )
    if confirm.seeds == "auto":
        return (
            f"{what}; as many fresh seeds as see the margin with {percent(confirm.power)} power, 3 to {confirm.limit}: "
            f"{audit.planned}, chosen before they ran"
        )
    if isinstance(confirm.seeds, tuple):
        return f"{what}; fresh seeds {', '.join(map(str, confirm.seeds))}"
    return f"{what}; {confirm.seeds} fresh seeds, which follow from the study's name and settings"


def cost(record: StudyRecord, evidence: Evidence) -> Cost:
    """Add up what the study took; the remainder is known only when the number of slots is."""
    counts = Counter(trial.state for trial in {trial.spec.key: trial for trial in record.trials}.values())
    states = {state: counts[state] for state in ORDER}
    train_s, eval_s = (_total(evidence, metric) for metric in ("train_s", "eval_s"))
    slots, wall_s = _slots(record), record.provenance.wall_s
    other_s = number(slots * wall_s - train_s - eval_s) if slots else None
    return Cost(
        wall_s=wall_s,
        states={state: count for state, count in states.items() if count},
        train_s=train_s,
        eval_s=eval_s,
        slots=slots,
        # Until lanes had seconds of their own, those of a pruned one were counted with the others' as well.
        other_s=other_s if other_s is not None and other_s >= 0 else None,
    )


def _total(evidence: Evidence, metric: str) -> float:
    return number(sum(float(np.nansum(table.last(metric))) for table in evidence.stages.values())) or 0.0


def _slots(record: StudyRecord) -> int | None:
    resources = record.study.resources
    if resources.slots or resources.gpus:
        return resources.slots
    return max(1, record.provenance.cores // resources.cpus)


def provenance_items(record: StudyRecord, facts: Iterable[Facts]) -> tuple[Item, ...]:
    """Name where the figures come from."""
    source, known = record.provenance, list(facts)
    difference = source.torch_fidelity_difference
    return (
        Item(name="command", value=source.command),
        Item(name="commit", value=source.commit + (" (with uncommitted changes)" if source.dirty else "")),
        *((Item(name="project's commit", value=source.project_commit),) if source.project_commit else ()),
        Item(name="started", value=source.started),
        *((Item(name="added after it had begun", value="; ".join(record.added)),) if record.added else ()),
        *((Item(name="failed", value=_failures(record)),) if _failures(record) else ()),
        *((Item(name="weights not kept", value=_lost(record)),) if _lost(record) else ()),
        Item(name="machine", value=f"{counted(source.cores, 'core')}; {_distinct(one.device for one in known)}"),
        Item(name="data hash", value=_distinct(one.data_hash for one in known)),
        *((Item(name="started from", value=_init(record.study, known)),) if record.study.recipe.model.init else ()),
        Item(name="recipe hash", value=record.study.recipe.hash),
        Item(name="versions", value=", ".join(f"{name} {version}" for name, version in source.versions.items())),
        Item(
            name="against torch-fidelity",
            value="not checked" if difference is None else f"relative difference {figure(difference)}, same features",
        ),
    )


def _init(study: Study, facts: Iterable[Facts]) -> str:
    return f"{study.recipe.model.init}, SHA-256 {_distinct(one.init_sha256 for one in facts if one.init_sha256)}"


def _failures(record: StudyRecord) -> str:
    """List which trials failed and why, each reason once."""
    return _reasons(trial for trial in record.trials if trial.state == "failed")


def _lost(record: StudyRecord) -> str:
    """List complete trials whose weights should have been kept and are not, and why."""
    return _reasons(trial for trial in record.trials if trial.state == "complete" and trial.note)


def _reasons(trials: Iterable[TrialRecord]) -> str:
    by_reason: dict[str, list[str]] = {}
    for trial in trials:
        by_reason.setdefault(trial.note, []).append(f"{trial.spec.cell.label}, seed {trial.spec.seed}")
    return "; ".join(f"{', and '.join(named)}: {reason}" for reason, named in by_reason.items())


def _distinct(values: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(values)) or "not recorded"


def finished(states: dict[TrialState, int]) -> int:
    """How many trials reached an end."""
    return sum(count for state, count in states.items() if state in FINAL_STATES)
