"""A trial's weights as a file that outlives its study: the public SiT's tensors, with metadata that describes them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Self

import torch
from safetensors import SafetensorError
from safetensors.torch import load as parse
from torch import Tensor

from trainer.backbones.build import backbone_of
from trainer.backbones.flat_parameters import views
from trainer.backbones.protocol import Backbone, Network
from trainer.backbones.public_sit import DIFFERENCES
from trainer.errors import DataError
from trainer.objectives.build import objective_of
from trainer.recipe import Dispersion, EvalRecipe, Frozen, Recipe, SiTRecipe
from trainer.recipe.idle_fields import KEPT
from trainer.runtime.checkpoint import HASH, digest, write
from trainer.sampling.samples import samples

FORMAT = "sweeper-sit-1"


class Origin(Frozen):
    """Where weights come from: recipe, step, data and trial.

    `device` is the kind it was trained on, which determines the noise; `shape` is (C, H, W) of an image; without
    `pixels` it is of latents, as data.scale and data.shift make them or else standardised by channel.
    """

    trial: str
    recipe: Recipe
    recipe_hash: str
    dispersion: Dispersion
    seed: int
    step: int
    data_hash: str
    device: str
    shape: tuple[int, int, int]
    classes: int
    pixels: bool

    def metadata(self) -> dict[str, str]:
        """Return it as a safetensors file carries it: texts, and JSON of all else."""
        tree = self.model_dump(mode="json")
        differences = DIFFERENCES if isinstance(self.recipe.model, SiTRecipe) else ""
        texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in tree.items()}
        return {"format": FORMAT, "differences": differences, **texts}

    @classmethod
    def of(cls, metadata: Mapping[str, str]) -> Self:
        """Read it back; raise ValueError for anything else."""
        named = {name: metadata.get(name, "") for name in cls.model_fields}
        texts = ("trial", "recipe_hash", "data_hash", "device")
        tree = {name: text if name in texts else json.loads(text) for name, text in named.items()}
        return cls.model_validate(tree, context=KEPT)


class Kept(NamedTuple):
    """Weights in the public SiT's layout, and their origin."""

    origin: Origin
    state: dict[str, Tensor]

    def network(self, device: torch.device) -> Network:
        """Return the model with the weights of its one lane."""
        origin = self.origin
        backbone = backbone_of(origin.recipe, origin.shape, origin.classes, device)
        flat = backbone.from_state_dict(self.state, origin.trial).to(device)
        return Network(backbone, views(flat[None], backbone.layout))

    @torch.no_grad()
    def draw(
        self,
        count: int,
        device: torch.device,
        evaluation: EvalRecipe | None = None,
        seed: int | None = None,
        labels: Sequence[int] | None = None,
    ) -> Tensor:
        """Return the first `count` samples [count, C, H, W]: those the trial was scored by, unless asked otherwise.

        `labels` take turns; all classes do, if not given. Batches are those of the evaluation, part or whole, for a
        product of other shapes adds in another order.
        """
        recipe = evaluation or self.origin.recipe.eval
        wholes = math.ceil(count / recipe.batch) * recipe.batch
        until = min(wholes, recipe.samples) if count <= recipe.samples else wholes
        objective = objective_of(self.origin.recipe)
        seeds = [self.origin.seed if seed is None else seed]
        drawn = samples(self.network(device), objective, recipe, seeds, until=until, labels=labels)
        return torch.cat([images[0].cpu() for _, images in drawn])[:count]


def save(path: Path, origin: Origin, state: Mapping[str, Tensor]) -> None:
    """Write weights in the public SiT's layout, whole or not at all. Raises OSError."""
    metadata = origin.metadata()
    write(path, state, {**metadata, HASH: digest(state, json.dumps(metadata, sort_keys=True))})


def kept_size(backbone: Backbone) -> int:
    """Return how many bytes one lane's weights take in a file."""
    empty = {name: torch.empty(slot.shape, device="meta") for name, slot in backbone.layout.items()}
    return sum(tensor.nbytes for tensor in backbone.state_dict(empty).values())


def is_kept(content: bytes) -> bool:
    """Whether a file is a kept model of ours, even if damaged."""
    return _metadata(content).get("format", "").startswith("sweeper-")


def read(content: bytes, place: str) -> Kept:
    """Read a file's content; raise DataError, which names `place`, for what is not ours, damaged or newer."""
    metadata = _metadata(content)
    format_ = metadata.get("format", "")
    if format_ != FORMAT:
        what = (
            f"a file of format {format_!r}; this version reads" if format_ else "not a file of kept weights, of format"
        )
        raise DataError(f"{place}: {what} {FORMAT!r}")
    hashed = metadata.pop(HASH, "")
    try:
        state = parse(content)
        origin = Origin.of(metadata)
    except (SafetensorError, ValueError) as error:
        raise DataError(f"{place}: cannot be read: {str(error).splitlines()[0]}") from error
    if digest(state, json.dumps(metadata, sort_keys=True)) != hashed:
        raise DataError(f"{place}: content does not match its SHA-256; the file is damaged")
    return Kept(origin, state)


def _metadata(content: bytes) -> dict[str, str]:
    # The library reads metadata only from a path, and the file at that path may have changed meanwhile.
    try:
        size = int.from_bytes(content[:8], "little")
        metadata = json.loads(content[8 : 8 + size]).get("__metadata__", {})
    except (ValueError, AttributeError, RecursionError):
        return {}
    return metadata if isinstance(metadata, dict) else {}
