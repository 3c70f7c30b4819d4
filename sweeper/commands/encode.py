"""`sweeper encode`: an image folder's latents, as a study's `data: {name: npy}` reads them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from sweeper.errors import DataError, StudyError
from trainer import errors as trainer_errors
from trainer.data.sources import image_files, read_image
from trainer.evaluation.autoencoder import Autoencoder, load_autoencoder
from trainer.evaluation.extractors import dequantise


class Encoded(NamedTuple):
    """Where latents and labels lie, and what a study's `data` has to say of them."""

    latents: Path
    labels: Path
    data: str


def encode(
    folder: Path, output: Path, autoencoder: Path, size: int, batch: int, progress: Callable[[int, int], None]
) -> Encoded:
    """Write the latents [N, C, H, W] of a folder of class sub-folders as float32, neither scaled nor shifted.

    Images are read as `data: {name: folder, image_size: size}` reads them; of each the mean of its latents is taken.
    `output` ends in .npy; its labels lie beside it. It is computed on the first GPU, or on the CPU. Raises StudyError
    for a file that is there already, DataError for images or an autoencoder that cannot be read.
    """
    labels_file = output.with_suffix(".labels.npy")
    if output.suffix != ".npy":
        raise StudyError(f"{output}: latents are written as .npy", "give OUT a name that ends in .npy")
    for file in (output, labels_file):
        if file.exists():
            raise StudyError(f"{file} exists already", "give another name, or remove it first")
    if not folder.is_dir():
        raise StudyError(f"{folder}: no such folder", "give FOLDER one sub-folder of images a class")
    part = output.with_name(f"{output.name}.{os.getpid()}.part")
    try:
        files, labels, _, _ = image_files(folder)
        coder = _coder(autoencoder)
        _write(part, files, coder, size, batch, progress)
        np.save(labels_file, labels)
        part.replace(output)
    except trainer_errors.DataError as error:
        raise DataError(str(error), "correct it and encode again") from error
    except OSError as error:
        said = f"{output} cannot be written: {error.strerror}"
        raise StudyError(said, "name a file in a folder that exists") from error
    finally:
        part.unlink(missing_ok=True)
    return Encoded(output, labels_file, _as_data(output, labels_file, coder))


def _coder(folder: Path) -> Autoencoder:
    coder = load_autoencoder(folder, torch.device("cuda" if torch.cuda.is_available() else "cpu"), "--autoencoder")
    if coder.image_channels not in (1, 3):
        raise DataError(f"{folder} is of images of {coder.image_channels} channels", "give one of images of 1 or 3")
    return coder


def _write(
    part: Path,
    files: list[Path],
    coder: Autoencoder,
    size: int,
    batch: int,
    progress: Callable[[int, int], None],
) -> None:
    whole = None
    for start in range(0, len(files), batch):
        pixels = np.stack([read_image(file, size, coder.image_channels) for file in files[start : start + batch]])
        latents = coder.encode(dequantise(torch.from_numpy(pixels)).to(coder.module.device)).cpu().numpy()
        if whole is None:  # an encoder's own arithmetic says how large latents are
            whole = np.lib.format.open_memmap(part, "w+", np.float32, (len(files), *latents.shape[1:]))
        whole[start : start + batch] = latents
        progress(min(start + batch, len(files)), len(files))
    if whole is not None:
        whole.flush()


def _as_data(output: Path, labels: Path, coder: Autoencoder) -> str:
    shift = "" if coder.shift is None else f", shift: {coder.shift:g}"
    return f"data: {{name: npy, path: {output}, labels: {labels}, scale: {coder.scale:g}{shift}}}"
