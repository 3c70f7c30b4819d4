"""What every trial of a study shares, as named facts: its data, model, training and objective."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import assert_never

from sweeper.guide.schema.results import Item
from sweeper.guide.wording import scope
from sweeper.records import Facts
from sweeper.study import Study
from sweeper.text.numbers import counted
from trainer.recipe import ActivationNorm, Contrastive, DataRecipe, Repa, TrainRecipe
from trainer.recipe.auxiliary_losses import AuxiliaryLoss
from trainer.recipe.training import Schedule

DECAY: Mapping[Schedule, str] = {"cosine": "cosine decay", "constant": "then constant"}


def recipe_items(study: Study, facts: Sequence[Facts]) -> tuple[Item, ...]:
    """Name what every trial shares."""
    data, model, train = study.recipe.data, study.recipe.model, study.recipe.train
    return (
        Item(
            name="data",
            value=f"{scope.data(data, facts)}, {100 * data.holdout:g} % held out{_as_trained_on(data, facts)}",
        ),
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


def _as_trained_on(data: DataRecipe, facts: Iterable[Facts]) -> str:
    latents = any(one.image_kind == "latents" for one in facts)
    scaled = ", latents standardised by channel over the training split" if latents else ""
    if data.scale is not None or data.shift is not None:
        scaled = f", latents as (x - {data.shift or 0:g}) * {1 if data.scale is None else data.scale:g}"
    return scaled + (", a random half of every batch mirrored" if data.flip else "")


def _schedule(train: TrainRecipe) -> str:
    decay = DECAY[train.schedule]
    later = train.later_blocks
    slower = "" if later is None else f", from block {later.block} on {later.rate:g} times the rate"
    return decay + slower + ("" if train.clip is None else f", gradient norm at most {train.clip:g}")


def _auxiliary(train: TrainRecipe) -> str:
    return "".join(f"; with {_added(loss)}" for loss in train.auxiliary_losses.values())


def _added(loss: AuxiliaryLoss) -> str:
    where = f"at block {loss.block}, lambda {loss.lam:g}"
    match loss:
        case Repa():
            return f"REPA {where}, encoder {loss.encoder}"
        case Contrastive():
            return f"a contrastive loss {where}, tau {loss.tau:g}, {loss.distance}, {loss.times} times"
        case ActivationNorm():
            return f"a penalty on the size of representations {where}"
        case _:
            assert_never(loss)
