"""Auxiliary losses that other parts of their recipe contradict, each reported where it is written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydantic_core import InitErrorDetails

from trainer.recipe.blocks import block_index
from trainer.recipe.evaluation import EvalRecipe
from trainer.recipe.field_error import field_error
from trainer.recipe.training import TrainRecipe


def block_errors(train: TrainRecipe, taps: Sequence[str]) -> Iterator[InitErrorDetails]:
    """Yield, as pydantic collects it, each block that a model with these taps does not have."""
    for name, part in train.with_a_block.items():
        try:
            block_index(part.block, taps)
        except ValueError as error:
            yield field_error(("train", name, "block"), str(error), part.block)


def batch_errors(train: TrainRecipe) -> Iterator[InitErrorDetails]:
    """Yield a contrastive loss with batches of one image, which is 0, since there are no negatives."""
    if train.contrastive and train.batch == 1:
        yield field_error(("train", "contrastive"), "must not stand beside train.batch 1: there it is 0", 1)


def encoder_errors(train: TrainRecipe, evaluation: EvalRecipe) -> Iterator[InitErrorDetails]:
    """Yield the encoder of REPA where FID uses the same kind: it would score what it taught."""
    if train.repa and train.repa.encoder == evaluation.extractor:
        says = f"must not be eval.extractor as well, {evaluation.extractor!r}: it would score what it taught"
        yield field_error(("train", "repa", "encoder"), says, train.repa.encoder)
