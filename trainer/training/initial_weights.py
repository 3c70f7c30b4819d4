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

PUBLISHED_TIME_SCALE = 1.0  # the public SiT embeds t itself


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
        theirs, train = found.origin.recipe.train, recipe.train
        scale, predicts = theirs.time_scale, theirs.predicts
    else:
        state, train = _published(content, str(path)), recipe.train
        scale, predicts = (
            (PUBLISHED_TIME_SCALE, "velocity")
            if isinstance(recipe.model, SiTRecipe)
            else (train.time_scale, train.predicts)
        )
    if scale != train.time_scale:
        raise DataError(f"{path}: its train.time_scale is {scale:g}, the study's {train.time_scale:g}; set it to that")
    if predicts != train.predicts:
        raise DataError(f"{path}: its train.predicts is {predicts}, the study's {train.predicts}; set it to that")
    return Initial(model.from_state_dict(state, str(path)), hashlib.sha256(content).hexdigest())


def _published(content: bytes, place: str) -> Mapping[str, Tensor]:
    """Return a published checkpoint's state dict: of its average, where it holds one beside the weights."""
    try:
        return parse_weights(content, place, ("ema", "model"))
    except (DataError, MemoryError):
        raise
    except Exception as error:  # zip, pickle and safetensors errors have no type in common
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise DataError(f"{place}: not a file of weights ({reason})") from error
