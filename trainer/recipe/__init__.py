"""The recipe of a trial (model, data, objective, training, evaluation) as frozen configuration, without torch."""

from trainer.recipe.auxiliary_losses import ActivationNorm, Contrastive, Repa
from trainer.recipe.backbone import PRESETS, BackboneRecipe, ModuleRecipe, SiTRecipe, UNetRecipe, UViTRecipe, numbered
from trainer.recipe.data import DataRecipe, Layout
from trainer.recipe.evaluation import FULL_SAMPLES, MAX_SAMPLES, EvalRecipe, fid_name
from trainer.recipe.frozen import Frozen, Scalar, Seed, Share
from trainer.recipe.metrics import METRICS, Better, Metric, MetricName, Recorded, recorded_metric, recorded_metrics
from trainer.recipe.objective import (
    SOLVERS,
    DiffusionRecipe,
    EdmRecipe,
    InterpolantRecipe,
    MeanFlowRecipe,
    ObjectiveRecipe,
)
from trainer.recipe.recipe import Lane, Recipe
from trainer.recipe.regulariser import (
    VARIANTS,
    Dispersion,
    Distance,
    Features,
    LocalBatch,
    Negatives,
    TauUnits,
    Variant,
    VariantFacts,
    contradiction,
)
from trainer.recipe.training import LaterBlocks, TrainRecipe

__all__ = [
    "FULL_SAMPLES",
    "MAX_SAMPLES",
    "METRICS",
    "PRESETS",
    "SOLVERS",
    "VARIANTS",
    "ActivationNorm",
    "BackboneRecipe",
    "Better",
    "Contrastive",
    "DataRecipe",
    "DiffusionRecipe",
    "Dispersion",
    "Distance",
    "EdmRecipe",
    "EvalRecipe",
    "Features",
    "Frozen",
    "InterpolantRecipe",
    "Lane",
    "LaterBlocks",
    "Layout",
    "LocalBatch",
    "MeanFlowRecipe",
    "Metric",
    "MetricName",
    "ModuleRecipe",
    "Negatives",
    "ObjectiveRecipe",
    "Recipe",
    "Recorded",
    "Repa",
    "Scalar",
    "Seed",
    "Share",
    "SiTRecipe",
    "TauUnits",
    "TrainRecipe",
    "UNetRecipe",
    "UViTRecipe",
    "Variant",
    "VariantFacts",
    "contradiction",
    "fid_name",
    "numbered",
    "recorded_metric",
    "recorded_metrics",
]
