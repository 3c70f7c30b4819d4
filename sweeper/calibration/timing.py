"""How long a step and a sample take on this CPU: timed, or extrapolated from small models and batches."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from trainer.backbones.build import backbone_of
from trainer.backbones.flat_parameters import views
from trainer.backbones.protocol import Network
from trainer.data.dataset import Dataset, load
from trainer.evaluation.evaluator import Evaluator
from trainer.evaluation.linear_probe import LinearProbe
from trainer.objectives.build import objective_of
from trainer.recipe import Dispersion, Lane, Recipe, Scalar, SiTRecipe
from trainer.recipe.metrics import PROBE_IMAGES, VALIDATION_IMAGES
from trainer.training.alignment_targets import untrained_encoder
from trainer.training.cohort import Cohort

DEPTHS, BATCHES = (1, 2), (2, 4)
NFE = 2
WITHOUT_LOSS = Dispersion()


class Timed(NamedTuple):
    """Seconds of an optimiser step, and of drawing one sample."""

    step_s: float
    sample_s: float


def timed(
    recipe: Recipe,
    data: Dataset,
    warm_up: int,
    steps: int,
    samples: int,
    setting: Dispersion = WITHOUT_LOSS,
    typical: Callable[[Sequence[float]], float] = statistics.median,
) -> Timed:
    """Train one trial of a setting for a few steps, draw a few samples, and time both: the `typical` step."""
    device = torch.device("cpu")
    # Compiling would take longer than all this; eager code gives an upper limit.
    recipe = recipe.override({"eval.compile": "off"})
    # Extractor and encoder are made when they are first needed, and neither is here.
    evaluator, encoder = Evaluator(recipe.eval, data, Path(), device), untrained_encoder(recipe, data, device)
    cohort = Cohort(recipe, [Lane(setting, 0)], data, device, evaluator, encoder)
    cohort.advance(warm_up)
    times = []
    for step in range(warm_up, warm_up + steps):
        begun = time.perf_counter()
        cohort.advance(step + 1)
        times.append(time.perf_counter() - begun)
    begun = time.perf_counter()
    drawn = len(cohort.draw(0, samples))
    return Timed(typical(times), (time.perf_counter() - begun) / drawn)


def probed(recipe: Recipe, data: Dataset, device: torch.device) -> float:
    """Return the seconds of one linear probe of one trial, its images looked up and its noise drawn."""
    model = backbone_of(recipe, data.shape, data.classes, device)
    weights = model.initial_weights(torch.Generator().manual_seed(0)).to(device)
    network = Network(model, views(weights[None], model.layout))
    begun = time.perf_counter()
    with torch.no_grad():
        found = LinearProbe(data, objective_of(recipe), recipe.eval, device).metrics(network, last=True)
    any(float(value.sum()) for value in found.values())  # waits for a GPU
    return time.perf_counter() - begun


def probe_seconds(recipe: Recipe, data: Dataset, sample_s: float) -> float:
    """Return the seconds of one linear probe's passes by those of a sample, where a probe would take too long to time.

    What the probe computes of tokens is left out: it grows with the width alone.
    """
    evaluation = recipe.eval
    images = min(PROBE_IMAGES, len(data.reference_images)) + min(VALIDATION_IMAGES, len(data.held_images))
    a_pass = sample_s / (evaluation.nfe * evaluation.passes(evaluation.cfg))
    return len(evaluation.probe_levels) * images * a_pass


def extrapolated(recipe: Recipe) -> Timed:
    """Time the recipe at batch 2 and 4, a SiT with one and two blocks, and extrapolate linearly.

    A step has a fixed cost, a cost for every block (its optimiser) and one for every sample that passes a block.
    Timing a model of 28 blocks of width 1152 takes two seconds this way, and two minutes directly.
    """
    data = load(recipe.data)
    if not isinstance(recipe.model, SiTRecipe):
        return _along_batch(recipe, [_piece(recipe, data, {}, size) for size in BATCHES])
    few, more = (
        _along_batch(recipe, [_piece(recipe, data, {"model.depth": blocks}, size) for size in BATCHES])
        for blocks in DEPTHS
    )
    # A slope that noise makes negative counts as 0.
    deeper = recipe.model.depth - 1
    return Timed(*(low + max(0.0, high - low) * deeper for low, high in zip(few, more, strict=True)))


def _along_batch(recipe: Recipe, sizes: Sequence[Timed]) -> Timed:
    low, high = sizes
    each = max(0.0, high.step_s - low.step_s) / (BATCHES[1] - BATCHES[0])
    step_s = low.step_s + each * (recipe.train.batch - BATCHES[0])
    return Timed(step_s, min(one.sample_s for one in sizes) * recipe.eval.nfe / _nfe(recipe))


def _nfe(recipe: Recipe) -> int:
    return NFE + recipe.objective.last_evaluations


def _piece(recipe: Recipe, data: Dataset, changes: Mapping[str, Scalar], batch: int) -> Timed:
    # Initial weights would have to be of the whole model, and do not affect the time.
    anew = recipe.model_copy(update={"model": recipe.model.model_copy(update={"init": None})})
    small = {**changes, "train.batch": batch, "eval.nfe": _nfe(recipe), "eval.batch": batch}
    # The shortest: differences of pieces are multiplied, and so is whatever else the machine did meanwhile.
    return timed(anew.override(small), data, warm_up=1, steps=4, samples=batch, typical=min)
