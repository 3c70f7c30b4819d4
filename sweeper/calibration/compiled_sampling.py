"""Whether a study's samples are drawn by compiled code: chosen once, before its first trial.

Compiled code's figures differ from eager code's in their last digits, so a study never has both.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch

from sweeper.calibration.preflight import fitting_backbone
from sweeper.errors import SetupError, SweeperError
from sweeper.plan.size import size
from sweeper.plan.trials import evaluations
from sweeper.study import Study
from trainer.backbones.flat_parameters import views
from trainer.backbones.flops import pass_flops
from trainer.backbones.protocol import Backbone, Network
from trainer.backbones.sit import SiT
from trainer.data.dataset import load
from trainer.errors import CompilerError, DataError
from trainer.objectives.build import objective_of
from trainer.recipe import EvalRecipe, Recipe
from trainer.recipe.evaluation import EVALUATIONS_A_STEP
from trainer.rng.streams import Stream, generator
from trainer.runtime.compiler import has_compiler, use_cache
from trainer.runtime.process import prepare
from trainer.sampling.samples import samples
from trainer.training.flops import sample_flops

# Measured on a core of an AMD EPYC with AVX-512, and with AVX2 emulated there (reports/speed_2026-11-26.md): operations
# a second of eager sampling, the share of its time that compiled code saves, seconds of compiling one block.
RATE, SAVED, BLOCK_S = 35e9, 0.19, 6.0
# What is saved is an upper limit, for a race stops trials early; so it has to be more than it costs by so much.
MARGIN = 1.5
SLOWEST_CALL_S = 5.0  # of the network: in models that take longer nearly all time is products, compiled or not
TURNS = 5
# Times as fast it has to be: what compiling takes is spent then, but every worker takes seconds to load the code.
PAYS = 1.05
REMEDY = "install g++, or name a C++ compiler in CXX, and run again; or continue on a machine that has one"

log = logging.getLogger(__name__)


class Attempt(NamedTuple):
    """How many times as fast compiled sampling is, of the recipe that gains least; or why it cannot be compiled."""

    gain: float
    trouble: str = ""


def choose(study: Study, before: bool | None, slots: int, attempt: Callable[[], Attempt]) -> bool:
    """Return whether samples are drawn by compiled code; `before` is what the study began with, None if it begins.

    `attempt` compiles where trials will run, and is called where the answer depends on it. Raises SetupError where a
    study began with compiled code, or asks for it, and that cannot be had.
    """
    if before is None and study.recipe.eval.compile == "auto":
        return may_pay(study, slots) and _pays(attempt())
    asked = study.recipe.eval.compile == "on" if before is None else before
    if not asked:
        return False
    said = f"study {study.name!r} draws its samples by compiled code"
    if study.resources.gpus:
        raise SetupError(f"{said}, which is for CPUs alone", "set resources.gpus to 0")
    if trouble := attempt().trouble:
        raise SetupError(f"{said}: {trouble}", REMEDY)
    return True


def _pays(attempt: Attempt) -> bool:
    if attempt.trouble:
        log.warning("samples are drawn by eager code: %s", attempt.trouble)
    return attempt.gain > PAYS


def may_pay(study: Study, slots: int) -> bool:
    """Return whether compiling could save time in a study on so many slots, by arithmetic: it is then worth a try.

    Only of a SiT, whose operations are counted, and on a CPU: on a GPU all evaluations of a batch are one graph. Not
    where this machine cannot read the data: if the workers cannot either, the first cohort that meets it says so.
    """
    recipes = _recipes(study)
    if study.resources.gpus or not has_compiler():
        return False
    try:
        models = [_backbone(recipe) for recipe in recipes]
    except (SweeperError, DataError, OSError):
        return False
    sits = [model for model in models if isinstance(model, SiT)]
    if len(sits) < len(models):
        return False
    calls_s = (each.eval.batch * pass_flops(sit).forward / RATE for each, sit in zip(recipes, sits, strict=True))
    compiling_s = BLOCK_S * sum(len(sit.taps) for sit in sits)
    return max(calls_s) < SLOWEST_CALL_S and SAVED * _eager_s(study, sits[0]) / slots > MARGIN * compiling_s


def try_compiling(study: Study, base: Path, cache: Path) -> Attempt:
    """Compile the sampling of all recipes of a study; the code is kept in `cache`, for this kind of processor."""
    prepare(study.resources.cpus, study.resources.gpus)
    with contextlib.suppress(OSError):  # on a cluster's node it need not exist
        os.chdir(base)
    use_cache(cache)
    try:
        return Attempt(min(_gain(recipe) for recipe in _recipes(study)))
    except CompilerError as error:
        return Attempt(0.0, str(error))


def _recipes(study: Study) -> list[Recipe]:
    """The study's recipe, and those of its control arms that draw by other code."""
    found: dict[str, Recipe] = {}
    for recipe in (study.recipe, *(study.recipe.override(arm.set) for arm in study.controls)):
        found.setdefault(str(recipe.model), recipe)  # an arm changes no objective, and nothing of `eval`
    return list(found.values())


def _backbone(recipe: Recipe) -> Backbone:
    data = load(recipe.data)
    return fitting_backbone(recipe, data.shape, data.classes)


def _eager_s(study: Study, model: SiT) -> float:
    planned, recipe = size(study), study.recipe
    screened = evaluations(study, recipe) * recipe.eval.samples
    confirmed = max(evaluations(study, recipe, "confirm") * recipe.eval.samples, recipe.eval.full_count("cpu") or 0)
    count = planned.trials * screened + planned.confirm_trials * confirmed
    return count * sample_flops(pass_flops(model), recipe.eval) / RATE


def _gain(recipe: Recipe) -> float:
    # A step of the solver alone.
    short = recipe.eval.model_copy(update={"nfe": EVALUATIONS_A_STEP[recipe.eval.solver]})
    draw = {mode: _drawing(recipe, short.model_copy(update={"compile": mode})) for mode in ("off", "on")}
    for once in draw.values():
        once()
    seconds: dict[str, list[float]] = {"off": [], "on": []}
    for _ in range(TURNS):
        for mode, once in draw.items():
            begun = time.process_time()
            once()
            seconds[mode].append(time.process_time() - begun)
    return min(seconds["off"]) / min(seconds["on"])


def _drawing(recipe: Recipe, evaluation: EvalRecipe) -> Callable[[], None]:
    model = _backbone(recipe)
    flat = model.initial_weights(generator(0, Stream.INIT))
    network, objective = Network(model, views(flat[None], model.layout)), objective_of(recipe)

    @torch.no_grad()
    def draw() -> None:
        for _ in samples(network, objective, evaluation, [0], until=evaluation.batch):
            pass

    return draw
