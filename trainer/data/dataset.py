"""Data sets as tensors: the training split, held-out images, FID's reference, and the hash of the files."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import assert_never

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from trainer.data.array_files import from_npy, from_npz, from_safetensors
from trainer.data.arrays import labelled
from trainer.data.huggingface import read_huggingface
from trainer.data.images import Images
from trainer.data.parts import row_parts
from trainer.data.sources import Raw, read_digits, read_folder, read_mnist5k, read_shapes
from trainer.data.standardisation import Standardisation
from trainer.errors import DataError
from trainer.recipe import DataRecipe
from trainer.runtime.paths import located

# Never a training seed: every seed of a study sees the same split. Part of the hash.
SPLIT_SEED = 20250609

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set ready for training and evaluation; images give float32 [N, C, H, W], labels are int64 [N].

    Pixels lie in [-1, 1]; latents are scaled as data.scale and data.shift have it or, with neither, standardised per
    channel over the training split. `reference_images` is the whole training split: the reference of FID and what the
    domain extractor learns from, so neither it nor `reference_hash` depends on data.limit. `hash` names what was
    trained on. `class_names` are those of an image folder, and `passed_over` says what of it was not read.
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
    standardisation: Standardisation | None = None
    class_names: tuple[str, ...] = ()
    passed_over: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of one image."""
        _, channels, height, width = self.reference_images.shape
        return channels, height, width


def load(recipe: DataRecipe) -> Dataset:
    """Read a data set, split it, and hash its contents; the same files give the same tensors everywhere.

    Raises DataError for data that is missing, unreadable, of the wrong shape, or too little.
    """
    raw = _read(recipe)
    place = recipe.path or recipe.name
    _check_promised(recipe, raw, place)
    reference, held = _split(raw.labels, recipe.holdout, place, raw.names)
    train = _limit(raw.labels, reference, recipe.limit, place)
    labels, standardisation = torch.from_numpy(raw.labels), _standardisation(raw, reference, recipe, place)
    images_of = _holder(raw, standardisation)
    reference_images = images_of(reference)
    reference_hash = _hash(raw, recipe)
    return Dataset(
        name=recipe.name,
        train_images=reference_images if recipe.limit is None else images_of(train),
        train_labels=labels[train],
        held_images=images_of(held),
        held_labels=labels[held],
        reference_images=reference_images,
        reference_labels=labels[reference],
        classes=int(raw.labels.max()) + 1,
        hash=hashlib.sha256(f"{reference_hash} limit {recipe.limit}".encode()).hexdigest(),
        reference_hash=reference_hash,
        pixels=raw.white is not None,
        standardisation=standardisation,
        class_names=raw.names,
        passed_over=raw.passed_over,
    )


def _read(recipe: DataRecipe) -> Raw:
    path = located(recipe.path or "")
    match recipe.name:
        case "digits":
            return read_digits()
        case "mnist5k":
            return read_mnist5k()
        case "shapes":
            return read_shapes()
        case "npz":
            return labelled(from_npz(path), path, recipe.layout)
        case "npy":
            return labelled(from_npy(path, located(recipe.labels or "")), path, recipe.layout)
        case "safetensors":
            labels = None if recipe.labels is None else located(recipe.labels)
            return labelled(from_safetensors(path, labels), path, recipe.layout)
        case "folder":
            assert recipe.image_size is not None
            return read_folder(path, recipe.image_size, recipe.channels)
        case "huggingface":
            assert recipe.image_size is not None
            return read_huggingface(path, recipe.image_size, recipe.channels)
        case _:
            assert_never(recipe.name)


def _check_promised(recipe: DataRecipe, raw: Raw, place: str) -> None:
    """Refuse data that contradict the recipe's description: a plan may have been made from that alone."""
    if recipe.shape is not None and recipe.shape != raw.images.shape:
        raise DataError(f"{place}: x is {list(raw.images.shape)} and data.shape says {list(recipe.shape)}")
    classes = int(raw.labels.max(initial=-1)) + 1
    if recipe.classes is not None and recipe.classes != classes:
        raise DataError(f"{place}: y has {classes} classes and data.classes says {recipe.classes}")


def _split(labels: Indices, holdout: float, place: str, names: Sequence[str]) -> tuple[Indices, Indices]:
    """Indices of the training split and of the held-out images, which are a fixed random share of every class."""
    # RandomState rather than default_rng: numpy promises that its stream never changes.
    random = np.random.RandomState(SPLIT_SEED)
    kept, held = [], []
    for label in range(int(labels.max(initial=-1)) + 1):
        members = random.permutation(np.flatnonzero(labels == label))
        if len(members) < 2:
            name, images = names[label] if names else label, "1 image" if len(members) else "no image"
            raise DataError(f"{place}: class {name} has {images}; every class needs 2 or more")
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


def _standardisation(raw: Raw, reference: Indices, recipe: DataRecipe, place: str) -> Standardisation | None:
    """Return the standardisation of latents; pixels have none."""
    is_given = recipe.scale is not None or recipe.shift is not None
    if raw.white is not None:
        if is_given:
            raise DataError(f"{place}: holds pixels; data.scale and data.shift are for latents, remove them")
        return None
    if is_given:
        return Standardisation.given(raw.images.shape[1], recipe.scale, recipe.shift)
    if isinstance(raw.images, np.memmap):
        return Standardisation.by_channel_in_parts(_tensor(raw.images), torch.from_numpy(reference))
    return Standardisation.by_channel(_tensor(raw.images.astype(np.float32)[reference]))


def _holder(raw: Raw, standardisation: Standardisation | None) -> Callable[[Indices], Images]:
    """Return the images of some rows: copied, or as views of a mapped file."""
    if isinstance(raw.images, np.memmap):
        mapped = _tensor(raw.images)
        return lambda rows: Images(mapped, raw.white, standardisation, torch.from_numpy(rows))
    held = torch.from_numpy(raw.images if standardisation is None else raw.images.astype(np.float32))
    ready = held if standardisation is None else standardisation(held)
    return lambda rows: Images(ready[rows], raw.white)


def _tensor(images: npt.NDArray[np.generic]) -> Tensor:
    with warnings.catch_warnings():
        # A mapped file is not written to: Images gives copies.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(images)


def _hash(raw: Raw, recipe: DataRecipe) -> str:
    digest = hashlib.sha256()
    read = {"shape": raw.images.shape, "dtype": str(raw.images.dtype), "white": raw.white}
    split = {**read, "holdout": recipe.holdout, "seed": SPLIT_SEED}
    # Left out where they are not given: sets of pixels, and those read before they existed, keep their hashes.
    scaled = {"scale": recipe.scale, "shift": recipe.shift}
    split |= {name: value for name, value in scaled.items() if value is not None}
    digest.update(json.dumps(split, sort_keys=True).encode())
    for part in row_parts(raw.images.shape):
        digest.update(np.ascontiguousarray(raw.images[part]).data)
    digest.update(raw.labels.data)
    return digest.hexdigest()
