"""Parts of a recipe that other parts contradict, each reported where it is written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic_core import InitErrorDetails

from trainer.recipe.auxiliary_validation import batch_errors, block_errors, encoder_errors
from trainer.recipe.backbone import SiTRecipe
from trainer.recipe.evaluation import EVALUATIONS_A_STEP, Solver
from trainer.recipe.field_error import field_error
from trainer.recipe.idle_fields import RECIPE, idle_fields
from trainer.recipe.objective import SOLVERS, DiffusionRecipe, MeanFlowRecipe

if TYPE_CHECKING:
    from trainer.recipe.recipe import Recipe


def recipe_errors(recipe: Recipe, kept: bool = False) -> Iterator[InitErrorDetails]:
    """Yield, as pydantic collects them, the contradictions in a recipe; in a `kept` one ignore idle fields."""
    yield from _solver_errors(recipe)
    yield from _label_errors(recipe)
    yield from _precision_errors(recipe)
    yield from block_errors(recipe.train, recipe.model.taps)
    yield from batch_errors(recipe.train)
    yield from encoder_errors(recipe.train, recipe.eval)
    yield from (field_error(*idle) for idle in idle_fields(recipe, () if kept else RECIPE))


def _solver_errors(recipe: Recipe) -> Iterator[InitErrorDetails]:
    evaluation, objective = recipe.eval, recipe.objective
    if evaluation.solver not in (fit := SOLVERS[objective.kind]):
        says = f"must be {' or '.join(map(repr, fit))}, which sample objective {objective.kind!r}"
        yield field_error(("eval", "solver"), says, evaluation.solver)
    elif says := _uneven(evaluation.solver, evaluation.nfe, objective.last_evaluations):
        yield field_error(("eval", "nfe"), says, evaluation.nfe)
    if isinstance(objective, DiffusionRecipe) and evaluation.nfe > objective.steps:
        if "nfe" in evaluation.model_fields_set:
            says = f"must be at most objective.steps, {objective.steps}: the schedule has no more"
            yield field_error(("eval", "nfe"), says, evaluation.nfe)
        else:
            says = f"must be at least eval.nfe, {evaluation.nfe}: a sampler takes so many of them"
            yield field_error(("objective", "steps"), says, objective.steps)


def _uneven(solver: Solver, nfe: int, last: int) -> str:
    """Return why `nfe` evaluations make no whole number of steps, `last` coming after them; empty where they do."""
    each = EVALUATIONS_A_STEP[solver]
    if (nfe - last) % each == 0:
        return ""
    more, after = (f" plus {last}", f", and {last} after the last") if last else ("", "")
    return f"must be a multiple of {each}{more}, not {nfe}: {solver} evaluates the network {each} times a step{after}"


def _precision_errors(recipe: Recipe) -> Iterator[InitErrorDetails]:
    if recipe.eval.precision == "bf16" and not isinstance(recipe.model, SiTRecipe):
        says = f"must be 'auto' or 'fp32' beside model.kind {recipe.model.kind!r}: samples in bf16 are of a SiT"
        yield field_error(("eval", "precision"), says, "bf16")


def _label_errors(recipe: Recipe) -> Iterator[InitErrorDetails]:
    """Yield a label_drop of 0 beside what needs a network that has seen 'no class'."""
    evaluation, objective = recipe.eval, recipe.objective
    needed_by = {
        "objective.omega and kappa": isinstance(objective, MeanFlowRecipe) and objective.is_guided,
        f"eval.cfg {evaluation.cfg:g}": evaluation.cfg != 1,
        "eval.cfg_curve": any(scale != 1 for scale in evaluation.cfg_curve),
        "eval.linear_probe, which hides the label": evaluation.linear_probe != "none",
    }
    asking = [what for what, is_asked in needed_by.items() if is_asked]
    if asking and recipe.train.label_drop == 0:
        says = f"must be above 0 beside {asking[0]}: 'no class' is never trained without it"
        yield field_error(("train", "label_drop"), says, recipe.train.label_drop)
