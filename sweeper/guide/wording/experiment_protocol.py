"""Everything needed to compare or repeat a study: its recipe and how it was measured, as named facts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from sweeper.guide.schema.audits import SeedAudit
from sweeper.guide.schema.results import Item
from sweeper.guide.wording.arms import arm_items
from sweeper.guide.wording.cost_and_provenance import distinct
from sweeper.guide.wording.loss_forms import forms
from sweeper.planning.trials import rung_steps
from sweeper.records import Facts
from sweeper.statistics.error_budget import CONTROL_ALPHA, OBJECTIVE_ALPHA, SET_ALPHA, SIDE_ALPHA, UNIQUE_ALPHA
from sweeper.statistics.looks import HIDDEN, enough_runs
from sweeper.study import Confirm, Screen, Study, further_seeds
from sweeper.study.objective import Objective
from sweeper.study.pruners import PRUNERS
from sweeper.study.second_objectives import objective_name
from sweeper.text.numbers import counted, metric_name, percent
from trainer.recipe import (
    METRICS,
    Dispersion,
    EvalRecipe,
    ModuleRecipe,
    SiTRecipe,
    recorded_metrics,
)
from trainer.recipe.auxiliary_losses import Encoder
from trainer.recipe.evaluation import GUIDED_BY_PUBLIC_CODE
from trainer.recipe.metrics import PROBE_IMAGES, PROBE_NEIGHBOURS, PROBE_PENALTY, VALIDATION_IMAGES

ENCODERS: Mapping[Encoder, str] = {
    # Both learn the classes of one data set, so a model aligned with one may score better with the other.
    "local": "a convnet built as the domain extractor is, trained apart on the images that are trained on",
    "dinov2": "DINOv2's patch tokens",
}


def _rounded(facts: Sequence[Facts], evaluation: EvalRecipe) -> str:
    latents = evaluation.decoder is None and any(one.image_kind == "latents" for one in facts)
    return "" if latents else "rounded to uint8, "


def _guidance(evaluation: EvalRecipe) -> str:
    if evaluation.cfg == 1:
        return "none"
    first, last = evaluation.cfg_interval
    where = "" if (first, last) == (0, 1) else f", from {percent(first)} to {percent(last)} of the way to data"
    what = {"all": "", "public": f", of the first {GUIDED_BY_PUBLIC_CODE} channels alone, as the public code does"}
    return f"scale {evaluation.cfg:g}{where}{what[evaluation.cfg_channels]}"


def _encoder(study: Study, facts: Iterable[Facts]) -> list[Item]:
    hashes = dict.fromkeys(one.encoder_sha256 for one in facts if one.encoder_sha256)
    recipes = (study.recipe, *(study.recipe.override(arm.set) for arm in study.controls))
    words = dict.fromkeys(ENCODERS[recipe.train.repa.encoder] for recipe in recipes if recipe.train.repa)
    value = f"{'; '.join(words)}; FID never looks through it; SHA-256 {'; '.join(hashes)}"
    return [Item(name="REPA's encoder", value=value)] if hashes else []


def _fine_print(study: Study) -> str:
    """State details in which replications often differ silently."""
    train, model = study.recipe.train, study.recipe.model
    times = "t as it is" if isinstance(model, ModuleRecipe) else f"t times {train.time_scale:g} before its embedding"
    parts = [times, "EMA decay at most (1 + step) / (10 + step)"]
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
    metric = metric_name(study.minimised.name(), evaluation.distance)
    return (
        *([] if study.minimised.is_fid else [Item(name="judged by", value=judged_by(study.minimised))]),
        Item(
            name="samples",
            value=f"{evaluation.samples:,}, classes balanced, {_rounded(known, evaluation)}the EMA weights",
        ),
        Item(name="features", value=_extractor(study, known)),
        Item(name="reference", value=_reference(study, known)),
        Item(name="solver", value=f"{evaluation.solver}, {evaluation.nfe} NFE"),
        *_sampling(known),
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
        Item(name="screen", value=_screen(study)),
        Item(name="rungs", value=_rungs(study)),
        Item(name="pruner", value=PRUNERS[screen.pruner].words),
        Item(name="pruning audit", value=_audit(screen)),
        Item(name="confirm", value=_confirm(study, seeds)),
        Item(
            name="tests",
            value=f"one-sided paired t on log {metric}, in the direction the screen saw, Holm; {_noise(seeds)}"
            f"false claims at most {percent(OBJECTIVE_ALPHA)} over settings, {percent(CONTROL_ALPHA)} over controls, "
            f"{percent(SIDE_ALPHA)} over other outcomes",
        ),
        Item(
            name="recommended set",
            value=f"multiple comparisons with the best (Hsu), {percent(SET_ALPHA)} in each stage; a single best at "
            f"{percent(UNIQUE_ALPHA)}",
        ),
    )


def judged_by(minimised: Objective) -> str:
    """Name the metric a study judges by, which is not FID, and say what it shows."""
    metric, fid = metric_name(minimised.recorded()), minimised.evaluation.distance
    inverted = ""
    if minimised.is_inverted:
        inverse = metric_name(minimised.name())
        inverted = f"; higher is better, so its inverse, {inverse}, is compared: 10 % lower is 11 % more"
    return (
        f"{metric}, not by {fid}: it shows {minimised.metric.shows}{inverted}. "
        f"{fid} is an outcome beside it, and rewards copies of training images, most of all where they are few"
    )


def _beside_the_objective(study: Study, recorded: Iterable[str]) -> list[Item]:
    """Describe how other metrics are measured: those recorded, or before there are any those that will be."""
    found = [known.metric for known in recorded_metrics(recorded) if known.metric.protocol]
    by_rung: dict[str, dict[str, None]] = {}
    foreseen = [metric for name, metric in METRICS.items() if study.recipe.eval.measures(name)]
    for metric in found or foreseen:
        if metric.protocol:
            rung = "every rung" if metric.is_measured(last=False, objective=study.objective) else "last rung"
            by_rung.setdefault(rung, {})[metric.protocol] = None
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
    known = distinct(one.reference_sha256 for one in facts if one.reference_sha256)
    return f"the statistics in {recipe.eval.reference}, SHA-256 {known}"


def _sampling(facts: list[Facts]) -> list[Item]:
    said = []
    if any(one.compiled for one in facts):
        said = [
            "drawn by compiled code (torch.compile), in all trials; eager code's figures differ in their last digits"
        ]
    if any(one.sampled_in == "bf16" for one in facts):
        said.append(
            "the network's blocks in bfloat16 in all trials; FID was within 0.2 % of float32's where both were drawn"
        )
    return [Item(name="sampling", value="; ".join(said))] if said else []


def _probe(evaluation: EvalRecipe) -> str:
    levels = ", ".join(f"{level:g}" for level in evaluation.probe_levels)
    return (
        f"at {evaluation.linear_probe}; tokens averaged over an image, label hidden, noise at t = {levels} (shares of "
        f"training's times); fitted on up to {PROBE_IMAGES:,} training images, tested on up to {VALIDATION_IMAGES:,} "
        f"held-out ones; ridge regression of penalty {PROBE_PENALTY:g} an image, {PROBE_NEIGHBOURS} nearest neighbours"
    )


def _screen(study: Study) -> str:
    screen = study.screen
    budget = f", {counted(screen.trials, 'trial')}" if screen.trials else ""
    further = f"; lambda 0 also on {', '.join(map(str, further_seeds(study)))}" if further_seeds(study) else ""
    return f"{screen.sampler}{budget}, seeds {', '.join(map(str, screen.seeds))}{further}"


def _rungs(study: Study) -> str:
    steps = ", ".join(f"{step:,}" for step in rung_steps(study, study.recipe))
    evaluation = study.recipe.eval
    early, end = (study.minimised.name(last) for last in (False, True))
    before = f"; before the last by {metric_name(early, evaluation.distance)}" if early != end else ""
    return f"measured at step {steps}{before}"


def _audit(screen: Screen) -> str:
    if PRUNERS[screen.pruner].stops == "nothing" or not screen.audit_fraction:
        return "none"
    return f"a random {percent(screen.audit_fraction)} of the settings it would stop run to their end"


def _noise(audit: SeedAudit) -> str:
    """Say what is compared, and which noise the tests allow for."""
    what = "what is compared are geometric means over seeds, bad runs included; "
    if audit.skewness is None:
        return what
    noise = f"noise as large and as skewed as in the screen ({audit.skewness:+.1f} for differences)"
    if audit.bad_runs:
        noise += f", where {audit.bad_runs} of {audit.bad_of} runs ended far away from their setting's others"
    harm = f"harm has to exceed {HIDDEN:g} standard deviations until lambda 0 has run {enough_runs()} times"
    return f"{what}{noise}; {harm}; "


def _followed(confirm: Confirm) -> str:
    return ", unless it may still be shown to change nothing within the margin" if confirm.equivalence else ""


def _confirm(study: Study, audit: SeedAudit) -> str:
    confirm = study.confirm
    if confirm is None:
        return "not planned"
    first = f" (half of them by the first of {_objectives(study)}, then each other's leader)" if study.traded else ""
    what = (
        f"top {confirm.top}{first}, marked settings, controls and the baseline; no pruning; "
        f"margin {percent(confirm.margin)}"
    )
    if audit.looks:
        return (
            f"{what}; judged after {', '.join(map(str, audit.looks))} fresh seeds: a setting takes no further ones "
            f"once it is confirmed, or has next to no chance left{_followed(confirm)}; fixed before they ran"
        )
    if confirm.seeds == "auto":
        return f"{what}; {audit.planned} fresh seeds, chosen before they ran"
    if isinstance(confirm.seeds, tuple):
        return f"{what}; fresh seeds {', '.join(map(str, confirm.seeds))}"
    return f"{what}; {confirm.seeds} fresh seeds, which follow from the study's name and settings"


def _objectives(study: Study) -> str:
    """List a study's objectives, the first one being what judges its settings."""
    distance = study.recipe.eval.distance
    second = (
        "cost" if second_objective.is_cost else objective_name(second_objective.recorded(), distance)
        for second_objective in study.traded
    )
    return ", ".join((objective_name(study.minimised.recorded(), distance), *second))
