"""What is trained, on what, how, and how it is measured: frozen configuration, without torch."""

from trainer.recipe.backbone import PRESETS, ModelRecipe
from trainer.recipe.data import DataRecipe, Layout
from trainer.recipe.evaluation import FULL_SAMPLES, MAX_SAMPLES, EvalRecipe, fid_name
from trainer.recipe.frozen import Frozen, Scalar, Seed
from trainer.recipe.recipe import Lane, Recipe
from trainer.recipe.regulariser import VARIANTS, Dispersion, TauUnits, Variant, VariantFacts
from trainer.recipe.training import TrainRecipe

__all__ = [
    "FULL_SAMPLES",
    "MAX_SAMPLES",
    "PRESETS",
    "VARIANTS",
    "DataRecipe",
    "Dispersion",
    "EvalRecipe",
    "Frozen",
    "Lane",
    "Layout",
    "ModelRecipe",
    "Recipe",
    "Scalar",
    "Seed",
    "TauUnits",
    "TrainRecipe",
    "Variant",
    "VariantFacts",
    "fid_name",
]
