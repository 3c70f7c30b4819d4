"""A few steps and one batch of samples of the study's own recipe: what a trial costs on this machine."""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

import torch

from trainer.cohort import Cohort
from trainer.data import Dataset, load
from trainer.evaluate import Evaluator
from trainer.machine import prepare
from trainer.recipe import Dispersion, Lane, Recipe

WARM_UP, STEPS = 3, 12


class Cost(NamedTuple):
    """Seconds of one trial on one slot."""

    per_step: float
    per_evaluation: float


def calibrate(recipe: Recipe, cpus: int, gpu: bool) -> Cost:
    """Time the baseline's steps and sampling on this machine, on its GPU if the study uses one; takes seconds.

    Feature extraction and FID are not timed: at compact scale they add about a tenth to an evaluation.
    """
    device = torch.device("cuda" if gpu else "cpu")
    prepare(cpus)
    data: Dataset = load(recipe.data)
    evaluator = Evaluator(recipe.eval, data, Path(), device)
    cohort = Cohort(recipe, [Lane(Dispersion(), 0)], data, device, evaluator)
    cohort.advance(WARM_UP)
    begun = time.perf_counter()
    cohort.advance(WARM_UP + STEPS)
    per_step = (time.perf_counter() - begun) / STEPS
    begun = time.perf_counter()
    drawn = len(cohort.draw(0, recipe.eval.batch))
    per_sample = (time.perf_counter() - begun) / drawn
    return Cost(per_step, per_sample * recipe.eval.samples)
