"""`sweeper plan --on`: a study's estimated cost on cards that are not here."""

from __future__ import annotations

from sweeper.calibration.cards import UTILISATION, Card, Machine, machine
from sweeper.calibration.on_card import SAMPLED_IN, CardCost, StageCost, cost_on
from sweeper.study import Study
from sweeper.text.numbers import duration, figure, share
from trainer.recipe.training import Precision

HOUR = 3600.0
LAUNCHES_S = 5e-3  # of a captured step of twelve blocks, about


def describe_on(study: Study, on: str) -> str:
    """Describe what a study costs on a machine such as '8xH100'; `announce` describes what it runs.

    Raises StudyError for a machine that is not known, a model that no formula counts, or a lane that no card holds;
    DataError where neither the study nor a file says what the data are.
    """
    cards = machine(on)
    return "\n".join(_lines(study, cards, cost_on(study, cards)))


def estimate_on(study: Study, on: str) -> dict[str, object]:
    """Return the same as numbers, for --json; raises what `describe_on` does."""
    cards = machine(on)
    cost = cost_on(study, cards)
    stages = {name: _numbers(stage) for name, stage in (("screen", cost.screen), ("confirm", cost.confirm))}
    parts = {name: value for name, value in cost._asdict().items() if name not in stages}
    return {"study": study.name, "measured": False, "on": on, "utilisation": UTILISATION, **parts, **stages}


def _numbers(stage: StageCost) -> dict[str, float]:
    return {
        "trials": stage.trials,
        "gpu_hours": round(stage.seconds / HOUR, 2),
        "training_gpu_hours": round(stage.training / HOUR, 2),
        "sampling_gpu_hours": round(stage.sampling / HOUR, 2),
        "hours": round(stage.wall / HOUR, 2),
    }


def _lines(study: Study, cards: Machine, cost: CardCost) -> list[str]:
    recipe, card, stages = study.recipe, cards.card, (cost.screen, cost.confirm)
    precision = recipe.train.precision
    total, wall = sum(stage.seconds for stage in stages), sum(stage.wall for stage in stages)
    sampling = sum(stage.sampling for stage in stages)
    step_s, sample_s = cost.step_flops / card.rate(precision), cost.sample_flops / card.rate(SAMPLED_IN)
    return [
        f"estimated, not measured, for {cards.cards} {card.name}: training in {precision} at"
        f" {_assumed(cards, precision)}, sampling in {SAMPLED_IN} at {_assumed(cards, SAMPLED_IN)}",
        f"{cost.parameters / 1e6:.4g} M parameters; a step takes {_work(cost.step_flops, step_s)};"
        f" a sample {_work(cost.sample_flops, sample_s)} ({recipe.eval.nfe} NFE)",
        *(_stage_line(name, stage, total) for name, stage in zip(("screen", "confirm"), stages, strict=True)),
        f"together: {_hours(total)} GPU-hours, {duration(wall)}; {share(sampling / total)} of it sampling{_full(cost)}",
        f"a lane takes about {cost.lane_bytes / 1e9:.3g} of {_room(cost, card)}: {_fit(cost.lanes)};"
        f" from depth {cost.largest_depth + 1:,} of this width on none does, which is out of scope",
        *_bound_by_launches(step_s),
        f"left out: features, FID, validation, probes, start-up{_repa(study)}; and what the pruner saves",
    ]


def _work(flops: float, seconds: float) -> str:
    return f"{figure(flops / 1e12)} TFLOP, {figure(1000 * seconds)} ms"


def _assumed(cards: Machine, precision: Precision) -> str:
    return f"{share(UTILISATION[precision])} of its published {cards.card.peak(precision) / 1e12:.4g} TFLOP/s"


def _stage_line(name: str, stage: StageCost, total: float) -> str:
    if not stage.trials:
        return f"{name}: none"
    return (
        f"{name}: {stage.trials} trials, {_hours(stage.seconds)} GPU-hours ({share(stage.seconds / total)}),"
        f" {duration(stage.wall)}"
    )


def _hours(seconds: float) -> str:
    return figure(seconds / HOUR)


def _fit(lanes: int) -> str:
    return "one fits on it" if lanes == 1 else f"{lanes:,} fit on it"


def _full(cost: CardCost) -> str:
    return f" ({cost.finalist_samples:,} samples of every finalist)" if cost.confirm.trials else ""


def _room(cost: CardCost, card: Card) -> str:
    part = "a card's" if cost.room_bytes == card.memory else f"{cost.room_bytes / card.memory:.3g} of a card,"
    return f"{part} {cost.room_bytes / 1e9:.3g} GB"


def _bound_by_launches(step_s: float) -> list[str]:
    if step_s > LAUNCHES_S:
        return []
    return ["far too low for a step as short as this: launching its kernels takes longer than their operations"]


def _repa(study: Study) -> str:
    recipes = (study.recipe, *(study.recipe.override(arm.set) for arm in study.controls))
    return ", REPA's encoder and projector" if any(recipe.train.repa for recipe in recipes) else ""
