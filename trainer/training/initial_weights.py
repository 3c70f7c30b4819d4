"""Initial weights from a file: a kept model of ours, or a published SiT's checkpoint."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor

from trainer.backbones.protocol import Backbone
from trainer.errors import DataError
from trainer.recipe import Recipe, SiTRecipe
from trainer.runtime.paths import located
from trainer.runtime.weight_files import parse_weights
from trainer.sampling import kept_model as kept


class Initial(NamedTuple):
    """One lane's weights [P], and the SHA-256 of their file."""

    weights: Tensor
    sha256: str


def read_initial(recipe: Recipe, model: Backbone) -> Initial | None:
    """Read a recipe's initial weights; None without a file. Raises DataError where file and model do not fit."""
    if recipe.model.init is None:
        return None
    path = located(recipe.model.init)
    if not path.is_file():
        raise DataError(f"{path}: no such file; give recipe.model.init a file of weights, or leave it out")
    content = path.read_bytes()
    if kept.is_kept(content):
        model_file = kept.read(content, str(path))
        state: Mapping[str, Tensor] = model_file.state
        theirs = model_file.origin.recipe
    else:
        state = _published(content, str(path))
        theirs = _published_recipe(recipe) if isinstance(recipe.model, SiTRecipe) else recipe
    has, wanted = _trained_for(theirs), _trained_for(recipe)
    for name in (name for name in wanted if has.get(name) != wanted[name]):
        raise DataError(f"{path}: its {name} is {has.get(name)}, the study's {wanted[name]}; set it to that")
    return Initial(model.from_state_dict(state, str(path)), hashlib.sha256(content).hexdigest())


def _trained_for(recipe: Recipe) -> dict[str, str]:
    """Return the fields that weights depend on beside their shapes, as text by dotted name."""
    objective = recipe.objective
    own = {f"objective.{name}": str(getattr(objective, name)) for name in objective.trained_for.fields}
    return {"objective.kind": objective.kind, "train.time_scale": f"{recipe.train.time_scale:g}", **own}


def _published_recipe(recipe: Recipe) -> Recipe:
    """Return the recipe of the public code for a study's objective."""
    fields, time_scale = recipe.objective.trained_for
    objective = recipe.objective.model_copy(update=dict(fields))
    train = recipe.train.model_copy(update={"time_scale": time_scale})
    return recipe.model_copy(update={"train": train, "objective": objective})


def _published(content: bytes, place: str) -> Mapping[str, Tensor]:
    """Return a published checkpoint's state dict, that of the EMA weights where it holds them."""
    try:
        return parse_weights(content, place, ("ema", "model"))
    except (DataError, MemoryError):
        raise
    except Exception as error:  # zip, pickle and safetensors errors have no type in common
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise DataError(f"{place}: not a file of weights ({reason})") from error
