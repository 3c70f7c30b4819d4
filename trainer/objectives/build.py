"""From a recipe to its objective."""

from __future__ import annotations

from typing import assert_never

from trainer.objectives.diffusion import Diffusion
from trainer.objectives.edm import Edm
from trainer.objectives.interpolant import Interpolant
from trainer.objectives.mean_flow import MeanFlow
from trainer.objectives.protocol import Objective
from trainer.recipe import DiffusionRecipe, EdmRecipe, InterpolantRecipe, MeanFlowRecipe, Recipe


def objective_of(recipe: Recipe) -> Objective:
    """Return the objective of a recipe."""
    match recipe.objective:
        case InterpolantRecipe():
            return Interpolant(recipe.objective)
        case DiffusionRecipe():
            return Diffusion(recipe.objective)
        case MeanFlowRecipe():
            return MeanFlow(recipe.objective)
        case EdmRecipe():
            return Edm(recipe.objective)
        case _:
            assert_never(recipe.objective)
