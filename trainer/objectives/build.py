"""From a recipe to its objective."""

from __future__ import annotations

from typing import assert_never

from trainer.objectives.noise import Noise
from trainer.objectives.protocol import Objective
from trainer.objectives.velocity import Velocity
from trainer.recipe import Recipe


def objective_of(recipe: Recipe) -> Objective:
    """Return what a recipe's networks learn to predict."""
    match recipe.train.predicts:
        case "velocity":
            return Velocity()
        case "noise":
            return Noise()
        case _:
            assert_never(recipe.train.predicts)
