"""Reference statistics as ADM's evaluator publishes them: an npz of Inception's moments, read as it is."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from trainer.errors import DataError

IMAGES = "arr_0"
FEATURES = 2048  # dimensions of Inception's pooled features
# Moments by the names of ADM's files, e.g. VIRTUAL_imagenet256_labeled.npz: of pooled features, and of spatial ones.
POOLED, SPATIAL = ("mu", "sigma"), ("mu_s", "sigma_s")
REMEDY = "give eval.reference an npz with mu and sigma, or with images arr_0, as ADM's evaluator takes them"


class Gaussian(NamedTuple):
    """A mean [D] and a covariance [D, D], float64."""

    mean: Tensor
    covariance: Tensor


class ReferenceFile:
    """An npz of `mu`, `sigma`, `mu_s`, `sigma_s`, and uint8 images `arr_0` [N, H, W, 3], each pair or image optional.

    Opened once and kept open, so that hash and contents are of the same file even if the path changes. Raises
    DataError, which names the file, for one that is missing, unreadable, or has neither moments nor images.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise DataError(f"{path}: no such file; {REMEDY}")
        self._path = path
        try:
            self._file = path.open("rb")
            self._archive = zipfile.ZipFile(self._file)
        except (zipfile.BadZipFile, OSError) as error:
            raise DataError(f"{path}: not a readable npz ({error}); {REMEDY}") from error
        self._members = {Path(name).stem for name in self._archive.namelist()}
        if not ({*POOLED} <= self._members or IMAGES in self._members):
            raise DataError(f"{path}: has arrays {sorted(self._members)}; {REMEDY}")

    @cached_property
    def sha256(self) -> str:
        """The hash of the whole file, which takes seconds for gigabytes; an archive's members seek for themselves."""
        self._file.seek(0)
        return hashlib.file_digest(self._file, "sha256").hexdigest()

    def check(self, dim: int) -> None:
        """Read all but the images' pixels; raise DataError now for anything that scoring would refuse later."""
        self.gaussian(POOLED, dim)
        if self.has_images:
            next(self.images(at_once=1))
        if self.has_spatial:
            for name in SPATIAL:
                self._array(name)

    @property
    def has_images(self) -> bool:
        """Whether there are images, whose features some metrics need."""
        return IMAGES in self._members

    @property
    def has_spatial(self) -> bool:
        """Whether there are moments of spatial features, which sFID needs."""
        return {*SPATIAL} <= self._members

    def gaussian(self, names: tuple[str, str], dim: int) -> Gaussian | None:
        """Return the moments of these names, None where there are none; raise DataError for those of another size."""
        if not {*names} <= self._members:
            return None
        mean, covariance = (self._array(name) for name in names)
        if mean.shape != (dim,) or covariance.shape != (dim, dim):
            shapes = f"{names[0]} {list(mean.shape)} and {names[1]} {list(covariance.shape)}"
            raise DataError(f"{self._path}: {shapes}, where Inception's features have {dim} dimensions; {REMEDY}")
        if not (mean.isfinite().all() and covariance.isfinite().all()):
            raise DataError(f"{self._path}: {' or '.join(names)} is not finite; {REMEDY}")
        return Gaussian(mean, covariance)

    def images(self, at_once: int) -> Iterator[Tensor]:
        """Yield the images, uint8 [n, 3, H, W], `at_once` at a time: thousands at 256 x 256 take gigabytes."""
        with self._read(IMAGES) as file:
            shape, dtype = self._header(file)
            if len(shape) != 4 or shape[3] != 3 or dtype != np.uint8:
                raise DataError(f"{self._path}: {IMAGES} is {dtype} {list(shape)}; it must be uint8 [N, H, W, 3]")
            if shape[0] < 2:
                raise DataError(f"{self._path}: {IMAGES} holds {shape[0]} image(s), which have no spread; {REMEDY}")
            size = int(np.prod(shape[1:]))
            for first in range(0, shape[0], at_once):
                count = min(at_once, shape[0] - first)
                content = file.read(count * size)
                if len(content) < count * size:
                    raise DataError(f"{self._path}: {IMAGES} is cut short; {REMEDY}")
                images = np.frombuffer(bytearray(content), dtype=np.uint8).reshape(count, *shape[1:])
                yield torch.from_numpy(images).permute(0, 3, 1, 2)

    def _array(self, name: str) -> Tensor:
        try:
            with self._read(name) as file:
                return torch.from_numpy(np.lib.format.read_array(file, allow_pickle=False).astype(np.float64))
        except (ValueError, OSError, zipfile.BadZipFile, EOFError) as error:
            reason = " ".join(str(error).split())
            raise DataError(f"{self._path}: {name} cannot be read ({reason}); {REMEDY}") from error

    def _read(self, name: str) -> zipfile.ZipExtFile:
        return self._archive.open(f"{name}.npy")  # type: ignore[return-value]

    def _header(self, file: zipfile.ZipExtFile) -> tuple[tuple[int, ...], np.dtype[np.generic]]:
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        try:
            shape, fortran, dtype = read[np.lib.format.read_magic(file)](file)
        except (ValueError, KeyError) as error:
            raise DataError(f"{self._path}: {IMAGES} cannot be read ({error}); {REMEDY}") from error
        if fortran:
            raise DataError(f"{self._path}: {IMAGES} is in Fortran order; write it again with numpy.savez")
        return shape, dtype
