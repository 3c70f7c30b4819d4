"""From a recipe to its objective."""

from __future__ import annotations

from trainer.objectives.protocol import Objective
from trainer.objectives.velocity import Velocity
from trainer.recipe import Recipe


def objective_of(recipe: Recipe) -> Objective:  # noqa: ARG001 - the one objective has no settings yet
    """Return what a recipe's networks learn to predict."""
    return Velocity()
