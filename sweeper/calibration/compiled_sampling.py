"""How a study draws its samples, by compiled code or eager, in float32 or bfloat16: chosen before its first trial.

Figures differ between these ways: in their last digits with compiled code, by less than .2 % in bfloat16
(reports/bf16_sampling_2026-11-27.md). So a study never mixes them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import assert_never

from sweeper.calibration.timed_sampling import Attempt, backbone, recipes
from sweeper.errors import SetupError, SweeperError
from sweeper.planning.size import size
from sweeper.planning.trials import evaluations
from sweeper.study import Study
from sweeper.study.sampling import Sampling
from trainer.backbones.flops import pass_flops
from trainer.backbones.sit import SiT
from trainer.errors import DataError
from trainer.recipe import SiTRecipe
from trainer.runtime.compiler import has_compiler
from trainer.training.flops import sample_flops

# Measured on a core of an AMD EPYC with AVX-512, and with AVX2 emulated there (reports/speed_2026-11-26.md): operations
# a second of eager sampling, the share of its time that compiled code saves, seconds of compiling one block. With
# bfloat16 twice as much is compiled, and more than twice as much saved.
RATE, SAVED, BLOCK_S = 35e9, 0.19, 6.0
# The estimated saving is an upper limit, since the race stops trials early; so it must exceed the cost by this factor.
MARGIN = 1.5
SLOWEST_CALL_S = 5.0  # of the network: in models that take longer nearly all time is products, compiled or not
# The speed-up required: by then compilation is paid for, but every worker takes seconds to load the code.
PAYS = 1.05
# The speed-up required of compiled bf16 over compiled fp32: far from both the gain of processors with bfloat16 and the
# loss of others, so that a study that starts over makes the same choice.
LOW_PAYS = 1.1
REMEDY = "install g++, or name a C++ compiler in CXX, and run again; or continue on a machine that has one"

log = logging.getLogger(__name__)

Try = Callable[[Sequence[Sampling]], Attempt]


def choose(study: Study, before: Sampling | None, slots: int, attempt: Try) -> Sampling:
    """Return how samples are drawn; `before` is what the study began with, None if it begins.

    `attempt` draws in some ways where trials will run, and is called where the answer depends on it. Raises SetupError
    where a study began with compiled code, or asks for it, and that cannot be had.
    """
    match before:
        case "eager fp32" | "eager bf16":
            return before
        case "compiled fp32" | "compiled bf16":
            if _had(study, (before,), attempt).gains[before] < 1:
                log.warning("here samples take longer in the way this study began with, %s, which it keeps", before)
            return before
        case None:
            return _begun(study, slots, attempt)
        case _:
            assert_never(before)


def _begun(study: Study, slots: int, attempt: Try) -> Sampling:
    asked = study.recipe.eval
    first, *others = candidates(study, slots)
    if not others and first.startswith("eager"):
        return first
    if asked.compile == "on":
        return _fastest(_had(study, (first, *others), attempt))
    found = attempt(others)
    if found.trouble:
        log.warning("samples are drawn by eager code: %s", found.trouble)
    fastest = _fastest(found)
    return fastest if found.gains.get(fastest, 0.0) > PAYS else first


def candidates(study: Study, slots: int) -> tuple[Sampling, ...]:
    """Return the ways in which a study that begins may draw its samples; of several the fastest, an eager one first."""
    asked = study.recipe.eval
    eager: Sampling = "eager bf16" if asked.precision == "bf16" else "eager fp32"
    match asked.compile:
        case "off":
            return (eager,)
        case "on":
            return _compiled(study)
        case "auto":
            return (eager, *_compiled(study)) if may_pay(study, slots) else (eager,)
        case _:
            assert_never(asked.compile)


def _compiled(study: Study) -> tuple[Sampling, ...]:
    precision = study.recipe.eval.precision
    match precision:
        case "fp32":
            return ("compiled fp32",)
        case "bf16":
            return ("compiled bf16",)
        case "auto":
            is_sit = all(isinstance(recipe.model, SiTRecipe) for recipe in recipes(study))
            return ("compiled fp32", "compiled bf16") if is_sit else ("compiled fp32",)
        case _:
            assert_never(precision)


def _fastest(attempt: Attempt) -> Sampling:
    whole, low = (attempt.gains.get(way, 0.0) for way in ("compiled fp32", "compiled bf16"))
    return "compiled bf16" if low > LOW_PAYS * whole else "compiled fp32"


def _had(study: Study, ways: Sequence[Sampling], attempt: Try) -> Attempt:
    said = f"study {study.name!r} draws its samples by compiled code"
    if study.resources.gpus:
        raise SetupError(f"{said}, which is for CPUs alone", "set resources.gpus to 0")
    found = attempt(ways)
    if found.trouble:
        raise SetupError(f"{said}: {found.trouble}", REMEDY)
    return found


def may_pay(study: Study, slots: int) -> bool:
    """Return whether compiling could save time in a study on so many slots, by arithmetic: it is then worth a try.

    Only of a SiT, whose operations are counted, and on a CPU: on a GPU all evaluations of a batch are one graph. Not
    where this machine cannot read the data: if the workers cannot either, the first cohort that meets it says so.
    """
    drawn = recipes(study)
    if study.resources.gpus or not has_compiler():
        return False
    try:
        models = [backbone(recipe) for recipe in drawn]
    except (SweeperError, DataError, OSError):
        return False
    sits = [model for model in models if isinstance(model, SiT)]
    if len(sits) < len(models):
        return False
    calls_s = (each.eval.batch * pass_flops(sit).forward / RATE for each, sit in zip(drawn, sits, strict=True))
    compiling_s = BLOCK_S * sum(len(sit.taps) for sit in sits)
    return max(calls_s) < SLOWEST_CALL_S and SAVED * _eager_s(study, sits[0]) / slots > MARGIN * compiling_s


def _eager_s(study: Study, model: SiT) -> float:
    planned, recipe = size(study), study.recipe
    screened = evaluations(study, recipe) * recipe.eval.samples
    confirmed = max(evaluations(study, recipe, "confirm") * recipe.eval.samples, recipe.eval.full_count("cpu") or 0)
    count = planned.trials * screened + planned.confirm_trials * confirmed
    return count * sample_flops(pass_flops(model), recipe.eval) / RATE
