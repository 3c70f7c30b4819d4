"""The learning rate, step by step."""

from __future__ import annotations

import math
from typing import assert_never

from trainer.recipe import TrainRecipe


def learning_rate(train: TrainRecipe, step: int) -> float:
    """Return the rate of optimiser step `step` (0-based): linear warm-up, then constant, or a cosine to 0 at `steps`.

    Warm-up takes half of the steps at most, so that a short run still decays. The last step moves a little.
    """
    warmup = min(train.warmup, train.steps // 2)
    if step < warmup:
        return train.lr * (step + 1) / warmup
    match train.schedule:
        case "constant":
            return train.lr
        case "cosine":
            progress = (step - warmup) / (train.steps - warmup)
            return train.lr * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
        case _:
            assert_never(train.schedule)
