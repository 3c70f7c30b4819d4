"""How long a step and a sample take on this CPU: timed, or extrapolated from models and batches that are small."""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

import torch

from trainer.data.dataset import Dataset, load
from trainer.evaluation.evaluator import Evaluator
from trainer.recipe import Dispersion, Lane, Recipe
from trainer.training.cohort import Cohort

DEPTHS, BATCHES = (1, 2), (2, 4)
NFE = 2


class Timed(NamedTuple):
    """Seconds of an optimiser step, and of drawing one sample."""

    step_s: float
    sample_s: float


def timed(recipe: Recipe, data: Dataset, warm_up: int, steps: int, samples: int) -> Timed:
    """Train one trial for a few steps, draw a few samples, and time both."""
    device = torch.device("cpu")
    cohort = Cohort(recipe, [Lane(Dispersion(), 0)], data, device, Evaluator(recipe.eval, data, Path(), device))
    cohort.advance(warm_up)
    begun = time.perf_counter()
    cohort.advance(warm_up + steps)
    step_s = (time.perf_counter() - begun) / steps
    begun = time.perf_counter()
    drawn = len(cohort.draw(0, samples))
    return Timed(step_s, (time.perf_counter() - begun) / drawn)


def extrapolated(recipe: Recipe) -> Timed:
    """Time the recipe with one and two blocks, at batch 2 and 4, and go on along the lines through these figures.

    A step costs so much, and more for every block (its optimiser) and for every sample that passes it. A model of
    28 blocks of width 1152 takes two seconds so, and two minutes by itself.
    """
    data, depth, batch = load(recipe.data), recipe.model.depth, recipe.train.batch
    few, more = ([_piece(recipe, data, blocks, size) for size in BATCHES] for blocks in DEPTHS)
    each = BATCHES[1] - BATCHES[0]
    # At either depth along the batch, and then along the depth; what noise makes fall stands still.
    steps = [low.step_s + max(0.0, high.step_s - low.step_s) / each * (batch - BATCHES[0]) for low, high in (few, more)]
    samples = [min(one.sample_s for one in sizes) for sizes in (few, more)]
    step_s, sample_s = (shallow + max(0.0, deep - shallow) * (depth - 1) for shallow, deep in (steps, samples))
    return Timed(step_s, sample_s * recipe.eval.nfe / NFE)


def _piece(recipe: Recipe, data: Dataset, blocks: int, batch: int) -> Timed:
    # Weights to start from are of the whole model, and cost nothing.
    anew = recipe.model_copy(update={"model": recipe.model.model_copy(update={"init": None})})
    changes = {"model.depth": blocks, "train.batch": batch, "eval.nfe": NFE, "eval.batch": batch}
    return timed(anew.override(changes), data, warm_up=1, steps=3, samples=batch)
