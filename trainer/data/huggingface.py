"""Read images and labels of a Hugging Face data set from the folder that `save_to_disk` wrote."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.data.sources import Raw, read_image
from trainer.errors import DataError


def read_huggingface(path: Path, size: int, channels: int) -> Raw:
    """Read the one column of images, cropped and resized as a folder's are, and the one of class labels.

    A column of integers called 'label' will do for the latter. Nothing is downloaded, and no file that a row names is
    opened. Raises DataError, which names the folder, where datasets is not installed or the columns are not there.
    """
    if not path.is_dir():
        raise DataError(f"{path}: no such folder; give data.path one that datasets' save_to_disk wrote")
    try:
        import datasets
    except ImportError as error:
        said = f"'huggingface' needs datasets, which cannot be imported ({error})"
        raise DataError(f"{said}; pip install dispersive-sweeper[huggingface]") from error
    try:
        dataset = datasets.load_from_disk(str(path))
    except Exception as error:  # json, arrow and file errors have no type in common
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path}: not a data set that save_to_disk wrote ({reason})") from error
    if isinstance(dataset, datasets.DatasetDict):
        raise DataError(f"{path}: has splits {sorted(dataset)}; give data.path the folder of one, such as {path}/train")
    image, label = _image_column(path, dataset, datasets), _label_column(path, dataset, datasets)
    # As bytes, since datasets itself would open images of any format, PostScript included.
    rows = dataset.with_format(None).cast_column(image, datasets.Image(decode=False))
    labels = np.unique(_labels(path, label, rows[label][:]), return_inverse=True)[1]
    held = [_pixels(row[image], size, channels, f"{path}: image {place}") for place, row in enumerate(rows)]
    return Raw(np.stack(held), labels.astype(np.int64), 255.0)


def _image_column(path: Path, dataset: Any, datasets: Any) -> str:
    columns = [name for name, kind in dataset.features.items() if isinstance(kind, datasets.Image)]
    if len(columns) != 1:
        raise DataError(
            f"{path}: has {len(columns)} columns of images among {sorted(dataset.features)}; keep one of them"
        )
    if len(dataset) == 0:
        raise DataError(f"{path}: holds no images")
    return str(columns[0])


def _label_column(path: Path, dataset: Any, datasets: Any) -> str:
    columns = [name for name, kind in dataset.features.items() if isinstance(kind, datasets.ClassLabel)]
    if not columns and "int" in str(getattr(dataset.features.get("label"), "dtype", "")):
        columns = ["label"]
    if len(columns) != 1:
        known = f"has {len(columns)} columns of class labels among {sorted(dataset.features)}"
        raise DataError(f"{path}: {known}; keep one, as ClassLabel or as integers called 'label'")
    return str(columns[0])


def _labels(path: Path, column: str, labels: list[int | None]) -> npt.NDArray[np.int64]:
    # datasets has None where a label is missing, and by custom -1 in splits that are published without labels.
    place = next((place for place, label in enumerate(labels) if label is None or label < 0), None)
    if place is not None:
        raise DataError(f"{path}: row {place} of {column!r} has no label; keep the rows that have one")
    return np.asarray(labels, dtype=np.int64)


def _pixels(image: Any, size: int, channels: int, place: str) -> Any:
    content = image["bytes"] if image else None
    if not content:
        raise DataError(f"{place} is not in the data set itself; save it with its images embedded")
    return read_image(io.BytesIO(content), size, channels, place)
