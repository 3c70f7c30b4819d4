"""The parts of a trial: the recipe that all trials of a study share, and the lane, its own setting and seed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple, Self

from pydantic import ModelWrapValidatorHandler, ValidationError, ValidationInfo, model_validator

from trainer.recipe.backbone import BackboneRecipe, SiTRecipe
from trainer.recipe.blocks import block_index
from trainer.recipe.data import DataRecipe
from trainer.recipe.evaluation import EvalRecipe
from trainer.recipe.field_error import field_error
from trainer.recipe.frozen import Frozen, Scalar
from trainer.recipe.identity import Later, identity
from trainer.recipe.idle_fields import KEPT, is_kept
from trainer.recipe.objective import SOLVERS, TIME_SCALES, InterpolantRecipe, ObjectiveRecipe
from trainer.recipe.recipe_validation import recipe_errors
from trainer.recipe.regulariser import Dispersion
from trainer.recipe.training import TrainRecipe


class Recipe(Frozen):
    """Everything trials of one cohort share.

    Every field has a default; what is given is checked.

        >>> recipe = Recipe.model_validate({"model": {"depth": 2}, "train": {"steps": 100}})
        >>> recipe.model.taps, recipe.override({"train.lr": 1e-3}).train.lr, Recipe().hash
        (('0', '1'), 0.001, '642a8255d40bbfc5')
    """

    data: DataRecipe = DataRecipe()
    model: BackboneRecipe = SiTRecipe()
    objective: Annotated[ObjectiveRecipe, Later()] = InterpolantRecipe()
    train: TrainRecipe = TrainRecipe()
    eval: EvalRecipe = EvalRecipe()

    @model_validator(mode="before")
    @classmethod
    def _predicts_has_moved(cls, tree: object) -> object:
        """Move `train.predicts`, where recipes had it for a short time, to its place now: `objective.predicts`."""
        train = tree.get("train") if isinstance(tree, Mapping) else None
        if not isinstance(tree, Mapping) or not isinstance(train, Mapping) or "predicts" not in train:
            return tree
        if "objective" in tree:
            says = "must be written as objective.predicts, where it now is, and there alone"
            wrong = [field_error(("train", "predicts"), says, train["predicts"])]
            raise ValidationError.from_exception_data("Recipe", wrong)
        rest = {name: value for name, value in train.items() if name != "predicts"}
        return {**tree, "train": rest, "objective": {"predicts": train["predicts"]}}

    @model_validator(mode="before")
    @classmethod
    def _fill_from_objective(cls, tree: object) -> object:
        """Fill in the solver and the scale of times that suit the objective, where they are not given."""
        if not isinstance(tree, Mapping):
            return tree
        objective = tree.get("objective")
        named = objective.get("kind") if isinstance(objective, Mapping) else getattr(objective, "kind", None)
        kind = next((known for known in SOLVERS if known == named), None)
        if kind is None:
            return tree
        filled = dict(tree)
        for part, suits in (("eval", {"solver": SOLVERS[kind][0]}), ("train", {"time_scale": TIME_SCALES[kind]})):
            own = tree.get(part, {})
            if isinstance(own, Mapping):
                filled[part] = {**suits, **own}
        return filled

    @model_validator(mode="wrap")
    @classmethod
    def _parts_fit_together(cls, tree: object, made: ModelWrapValidatorHandler[Self], info: ValidationInfo) -> Self:
        recipe = made(tree)
        if wrong := [*recipe_errors(recipe, is_kept(tree, cls, info))]:
            # pydantic merges a ValidationError raised here into its own and keeps the places (pydantic-core 2).
            raise ValidationError.from_exception_data("Recipe", wrong)
        return recipe

    def override(self, changes: Mapping[str, Scalar]) -> Recipe:
        """Return a validated copy with dotted fields replaced, e.g. {'train.weight_decay': 0.5}.

        Raises ValueError (often pydantic's ValidationError) for an unknown field or a value out of range.
        """
        return Recipe.model_validate(self.tree_with(changes), context=KEPT)

    def tree_with(self, changes: Mapping[str, Scalar]) -> dict[str, Any]:
        """Return the recipe as plain values with dotted fields replaced, not validated; raise ValueError for no field.

        A part that is not there, such as train.repa, is begun by its first field.
        """
        tree: dict[str, Any] = self.model_dump()
        for dotted, value in changes.items():
            *parents, leaf = dotted.split(".")
            node = tree
            for name in parents:
                if node.get(name) is None:
                    node[name] = {}
                node = node[name]
                if not isinstance(node, dict):
                    raise ValueError(f"{dotted}: {name} is a value and has no fields")
            node[leaf] = value
        return tree

    @property
    def hash(self) -> str:
        """Sixteen hex digits that name this recipe, whatever it draws for earlier rungs and for finalists' full metric.

        No other figure depends on those two.
        """
        tree = identity(self)
        for name in ("full_samples", "rung_samples"):
            del tree["eval"][name]
        for name, part in self.train.with_a_block.items():  # however that is written
            tree["train"][name]["block"] = block_index(part.block, self.model.taps)
        return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()[:16]


class Lane(NamedTuple):
    """A trial's place in a cohort: the Dispersive Loss it is given, and the seed of everything random in it.

    >>> Lane(Dispersion(blocks=(1,), lam=0.5, tau=0.5), seed=0).setting.lam
    0.5
    """

    setting: Dispersion
    seed: int
