"""Weights that training starts from, out of a file: one of ours, or a published SiT's checkpoint."""

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

# How the public SiT is trained, as far as weights depend on it: it embeds t itself.
PUBLISHED: Mapping[str, float | str] = {"time_scale": 1.0, "predicts": "velocity"}


class Initial(NamedTuple):
    """One lane's weights [P], and the SHA-256 of their file."""

    weights: Tensor
    sha256: str


def read_initial(recipe: Recipe, model: Backbone) -> Initial | None:
    """Read what a recipe starts from; None where it starts anew. Raises DataError where file and model do not fit."""
    if recipe.model.init is None:
        return None
    path = located(recipe.model.init)
    if not path.is_file():
        raise DataError(f"{path}: no such file; give recipe.model.init a file of weights, or leave it out")
    content = path.read_bytes()
    if kept.is_kept(content):
        found = kept.read(content, str(path))
        state: Mapping[str, Tensor] = found.state
        theirs = found.origin.recipe.train
    else:
        state = _published(content, str(path))
        theirs = recipe.train.model_copy(update=PUBLISHED if isinstance(recipe.model, SiTRecipe) else {})
    for name in PUBLISHED:
        has, wanted = (_plain(getattr(train, name)) for train in (theirs, recipe.train))
        if has != wanted:
            raise DataError(f"{path}: its train.{name} is {has}, the study's {wanted}; set it to that")
    return Initial(model.from_state_dict(state, str(path)), hashlib.sha256(content).hexdigest())


def _plain(value: float | str) -> str:
    return f"{value:g}" if isinstance(value, float) else value


def _published(content: bytes, place: str) -> Mapping[str, Tensor]:
    """Return a published checkpoint's state dict: of its average, where it holds one beside the weights."""
    try:
        return parse_weights(content, place, ("ema", "model"))
    except (DataError, MemoryError):
        raise
    except Exception as error:  # zip, pickle and safetensors errors have no type in common
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise DataError(f"{place}: not a file of weights ({reason})") from error
