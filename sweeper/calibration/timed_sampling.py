"""Time how much faster compiled code, and bfloat16, draw a study's samples."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from sweeper.calibration.preflight import fitting_backbone
from sweeper.study import Study
from sweeper.study.sampling import Sampling, drawn_by
from trainer.backbones.flat_parameters import views
from trainer.backbones.protocol import Backbone, Network
from trainer.data.dataset import load
from trainer.errors import CompilerError
from trainer.objectives.build import objective_of
from trainer.recipe import EvalRecipe, Recipe
from trainer.recipe.evaluation import EVALUATIONS_A_STEP
from trainer.rng.streams import Stream, generator
from trainer.runtime.compiler import use_cache
from trainer.runtime.process import prepare
from trainer.sampling.samples import samples

TURNS = 5
# Times as long as fp32 that eager bf16 may take for it to be worth compiling. With avx512_bf16 it takes .7 to .9, by
# AVX2 alone 16 times as long: other load on the processor does not change the answer.
HOPELESS = 1.5


class Attempt(NamedTuple):
    """How many times as fast as eager fp32 each way is, of the recipe that gains least; or why none can be had.

    A way that was not worth an attempt has no gain.
    """

    gains: Mapping[Sampling, float]
    trouble: str = ""


def try_sampling(study: Study, base: Path, cache: Path, ways: Sequence[Sampling]) -> Attempt:
    """Draw samples of all recipes of a study in these ways, and time it; compiled code is kept in `cache`.

    Of several ways those in bfloat16 are left out where this processor is slow at it.
    """
    prepare(study.resources.cpus, study.resources.gpus)
    with contextlib.suppress(OSError):  # on a cluster's node it need not exist
        os.chdir(base)
    use_cache(cache)
    try:
        found = [_gains(recipe, ways) for recipe in recipes(study)]
    except CompilerError as error:
        return Attempt({}, str(error))
    return Attempt({way: min(each[way] for each in found) for way in ways if all(way in each for each in found)})


def recipes(study: Study) -> list[Recipe]:
    """Return the study's recipe, and those of its control arms that draw by other code."""
    found: dict[str, Recipe] = {}
    for recipe in (study.recipe, *(study.recipe.override(arm.set) for arm in study.controls)):
        found.setdefault(str(recipe.model), recipe)  # an arm changes no objective, and nothing of `eval`
    return list(found.values())


def backbone(recipe: Recipe) -> Backbone:
    """Return the recipe's model on its data; raises DataError and StudyError."""
    data = load(recipe.data)
    return fitting_backbone(recipe, data.shape, data.classes)


def _gains(recipe: Recipe, ways: Sequence[Sampling]) -> dict[Sampling, float]:
    # A step of the solver alone, and what follows the last one.
    nfe = EVALUATIONS_A_STEP[recipe.eval.solver] + recipe.objective.last_evaluations
    plain = recipe.override({"eval.nfe": nfe, "eval.compile": "off", "eval.precision": "fp32"})

    def drawing(way: Sampling) -> Callable[[], None]:
        return _drawing(plain, drawn_by(plain, way).eval)

    eager = drawing("eager fp32")
    if len(ways) > 1 and "compiled bf16" in ways:
        rough = _seconds([eager, drawing("eager bf16")], turns=1)
        ways = [way for way in ways if way != "compiled bf16" or rough[1] < HOPELESS * rough[0]]
    reference, *timed = _seconds([eager, *(drawing(way) for way in ways)], TURNS)
    return dict(zip(ways, (reference / each for each in timed), strict=True))


def _seconds(drawings: Sequence[Callable[[], None]], turns: int) -> list[float]:
    """Return the least processor time each takes, in turns, after once to warm up."""
    taken: dict[Callable[[], None], list[float]] = {once: [] for once in drawings}
    for once in taken:
        once()
    for _ in range(turns):
        for once, seconds in taken.items():
            begun = time.process_time()
            once()
            seconds.append(time.process_time() - begun)
    return [min(seconds) for seconds in taken.values()]


def _drawing(recipe: Recipe, evaluation: EvalRecipe) -> Callable[[], None]:
    model = backbone(recipe)
    flat = model.initial_weights(generator(0, Stream.INIT))
    network, objective = Network(model, views(flat[None], model.layout)), objective_of(recipe)

    @torch.no_grad()
    def draw() -> None:
        for _ in samples(network, objective, evaluation, [0], until=evaluation.batch):
            pass

    return draw
