"""How all samples of a study are drawn: chosen once, before its first trial, and then fixed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from trainer.recipe import Recipe, Scalar

Sampling = Literal["eager fp32", "compiled fp32", "eager bf16", "compiled bf16"]

# What each sets in a recipe. The first is what 'auto' means by itself: recipes of studies that have it keep their hash.
SETS: Mapping[Sampling, Mapping[str, Scalar]] = {
    "eager fp32": {},
    "compiled fp32": {"eval.compile": "on"},
    "eager bf16": {"eval.precision": "bf16"},
    "compiled bf16": {"eval.compile": "on", "eval.precision": "bf16"},
}


def drawn_by(recipe: Recipe, sampling: Sampling) -> Recipe:
    """Return a recipe with a study's choice of how samples are drawn, which `auto` leaves to it."""
    changes = SETS[sampling]
    return recipe.override(changes) if changes else recipe
