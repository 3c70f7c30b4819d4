"""Data sets as tensors: what is trained on, what is held out, what FID compares with, and the hash of what was read."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import assert_never

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from trainer.data.images import Images
from trainer.data.sources import Raw, read_digits, read_folder, read_mnist5k, read_npz
from trainer.errors import DataError
from trainer.recipe import DataRecipe
from trainer.runtime.paths import located

# Never a training seed: every seed of a study sees the same split. Part of the hash.
SPLIT_SEED = 20250609

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set ready for training and evaluation; images give float32 [N, C, H, W], labels are int64 [N].

    Pixels lie in [-1, 1]; latents are standardised per channel over the training split. `reference_images` is
    the whole training split: the reference of FID and what the domain extractor learns from, so neither it nor
    `reference_hash` depends on data.limit. `hash` names what was trained on.
    """

    name: str
    train_images: Images
    train_labels: Tensor
    held_images: Images
    held_labels: Tensor
    reference_images: Images
    reference_labels: Tensor
    classes: int
    hash: str
    reference_hash: str
    pixels: bool

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of one image."""
        _, channels, height, width = self.reference_images.shape
        return channels, height, width


def load(recipe: DataRecipe) -> Dataset:
    """Read a data set, split it, and hash what was read; the same files give the same tensors everywhere.

    Raises DataError for data that is missing, unreadable, of the wrong shape, or too little.
    """
    raw = _read(recipe)
    place = recipe.path or recipe.name
    _check_promised(recipe, raw, place)
    reference, held = _split(raw.labels, recipe.holdout, place)
    train = _limit(raw.labels, reference, recipe.limit, place)
    held_NCHW, labels = _held(raw, reference), torch.from_numpy(raw.labels)
    reference_images = Images(held_NCHW[reference], raw.white)
    reference_hash = _hash(raw, recipe.holdout)
    return Dataset(
        name=recipe.name,
        train_images=reference_images if recipe.limit is None else Images(held_NCHW[train], raw.white),
        train_labels=labels[train],
        held_images=Images(held_NCHW[held], raw.white),
        held_labels=labels[held],
        reference_images=reference_images,
        reference_labels=labels[reference],
        classes=int(raw.labels.max()) + 1,
        hash=hashlib.sha256(f"{reference_hash} limit {recipe.limit}".encode()).hexdigest(),
        reference_hash=reference_hash,
        pixels=raw.white is not None,
    )


def _read(recipe: DataRecipe) -> Raw:
    path = located(recipe.path or "")
    match recipe.name:
        case "digits":
            return read_digits()
        case "mnist5k":
            return read_mnist5k()
        case "npz":
            return read_npz(path, recipe.layout)
        case "folder":
            assert recipe.image_size is not None
            return read_folder(path, recipe.image_size, recipe.channels)
        case _:
            assert_never(recipe.name)


def _check_promised(recipe: DataRecipe, raw: Raw, place: str) -> None:
    """Refuse data that are not what the recipe says they are: a plan may have been made of that alone."""
    if recipe.shape is not None and recipe.shape != raw.images.shape:
        raise DataError(f"{place}: x is {list(raw.images.shape)} and data.shape says {list(recipe.shape)}")
    classes = int(raw.labels.max(initial=-1)) + 1
    if recipe.classes is not None and recipe.classes != classes:
        raise DataError(f"{place}: y has {classes} classes and data.classes says {recipe.classes}")


def _split(labels: Indices, holdout: float, place: str) -> tuple[Indices, Indices]:
    """Indices of the training split and of the held-out images, which are a fixed random share of every class."""
    # RandomState rather than default_rng: numpy promises that its stream never changes.
    random = np.random.RandomState(SPLIT_SEED)
    kept, held = [], []
    for label in range(int(labels.max(initial=-1)) + 1):
        members = random.permutation(np.flatnonzero(labels == label))
        if len(members) < 2:
            raise DataError(f"{place}: class {label} has {len(members)} image(s); every class needs 2 or more")
        count = min(max(round(len(members) * holdout), 1), len(members) - 1)
        held.append(members[:count])
        kept.append(members[count:])
    if sum(map(len, kept)) < 4 or sum(map(len, held)) < 2:
        raise DataError(f"{place}: {len(labels)} images are too few; give at least 4 to train on and 2 to hold out")
    return np.sort(np.concatenate(kept)), np.sort(np.concatenate(held))


def _limit(labels: Indices, reference: Indices, limit: int | None, place: str) -> Indices:
    """The first `limit` training images when classes take turns; smaller limits are subsets of larger ones."""
    if limit is None:
        return reference
    classes = int(labels.max()) + 1
    if not classes <= limit <= len(reference):
        raise DataError(f"{place}: data.limit is {limit}; choose from {classes} (one a class) to {len(reference)}")
    random = np.random.RandomState(SPLIT_SEED + 1)
    members = [random.permutation(reference[labels[reference] == label]) for label in range(classes)]
    turns = sorted((turn, label, index) for label, own in enumerate(members) for turn, index in enumerate(own))
    return np.array(sorted(index for _, _, index in turns[:limit]), dtype=np.int64)


def _held(raw: Raw, reference: Indices) -> Tensor:
    """Pixels as they are; latents with mean 0 and deviation 1 of every channel over the training split."""
    if raw.white is not None:
        return torch.from_numpy(raw.images)
    images = torch.from_numpy(raw.images.astype(np.float32))
    std, mean = torch.std_mean(images[reference].double(), dim=(0, 2, 3), keepdim=True)
    return ((images - mean) / std.clamp_min(1e-6)).float()


def _hash(raw: Raw, holdout: float) -> str:
    digest = hashlib.sha256()
    read = {"shape": raw.images.shape, "dtype": str(raw.images.dtype), "white": raw.white}
    split = {**read, "holdout": holdout, "seed": SPLIT_SEED}
    digest.update(json.dumps(split, sort_keys=True).encode())
    digest.update(np.ascontiguousarray(raw.images).data)
    digest.update(raw.labels.data)
    return digest.hexdigest()
