"""Data sets that Hugging Face's datasets saved to disk. What needs it is skipped where it is not installed."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.trainer.data.test_dataset import write_folder
from trainer.data.dataset import Dataset, load
from trainer.errors import DataError
from trainer.recipe import DataRecipe


@pytest.fixture
def datasets() -> Any:
    return pytest.importorskip("datasets", reason="pip install dispersive-sweeper[huggingface]")


def read(path: Path) -> Dataset:
    return load(DataRecipe(name="huggingface", path=str(path), image_size=6))


def columns(datasets: Any, root: Path, **more: Any) -> Any:
    """The images of an image folder, each embedded, beside their classes."""
    write_folder(root / "images")
    files = [file for name in ("a-dogs", "b-cats") for file in sorted((root / "images" / name).iterdir())]
    images = [{"bytes": file.read_bytes(), "path": None} for file in files]
    features = {"picture": datasets.Image(), "kind": datasets.ClassLabel(names=["dog", "cat"])}
    values = {"picture": images, "kind": [0] * 6 + [1] * 6}
    return datasets.Dataset.from_dict(values, features=datasets.Features(features)).map(lambda _: more)


def test_it_is_read_as_a_folder_of_the_same_images_is(datasets: Any, tmp_path: Path) -> None:
    columns(datasets, tmp_path).save_to_disk(tmp_path / "saved")
    folder = load(DataRecipe(name="folder", path=str(tmp_path / "images"), image_size=6))
    found = read(tmp_path / "saved")
    assert found.hash == folder.hash
    assert found.held_images[:].equal(folder.held_images[:])


def test_integers_called_label_are_labels(datasets: Any, tmp_path: Path) -> None:
    whole = columns(datasets, tmp_path)
    integers = whole.cast_column("kind", datasets.Value("int32")).rename_column("kind", "label")
    for name, one in (("saved", whole), ("integers", integers)):
        one.save_to_disk(tmp_path / name)
    assert read(tmp_path / "integers").hash == read(tmp_path / "saved").hash


@pytest.mark.parametrize("missing", [None, -1])
def test_a_row_without_a_label_is_no_class_of_its_own(missing: int | None, datasets: Any, tmp_path: Path) -> None:
    whole = columns(datasets, tmp_path).cast_column("kind", datasets.Value("int64")).rename_column("kind", "label")
    labels = [missing, *whole["label"][1:]]
    features = whole.features
    rows = {"picture": whole.cast_column("picture", datasets.Image(decode=False))["picture"][:], "label": labels}
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(tmp_path / "saved")
    with pytest.raises(DataError, match=r"saved: row 0 of 'label' has no label; keep the rows that have one"):
        read(tmp_path / "saved")


def without_labels(whole: Any, _datasets: Any, _root: Path) -> Any:
    return whole.remove_columns("kind")


def without_images(whole: Any, _datasets: Any, _root: Path) -> Any:
    return whole.remove_columns("picture")


def splits(whole: Any, datasets: Any, _root: Path) -> Any:
    return datasets.DatasetDict(train=whole)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (without_labels, r"saved: has 0 columns of class labels among \['picture'\]; keep one"),
        (without_images, r"saved: has 0 columns of images among \['kind'\]"),
        (splits, r"saved: has splits \['train'\]; give data\.path the folder of one, such as .*/saved/train"),
    ],
)
def test_other_columns_are_one_line(
    change: Callable[[Any, Any, Path], Any], says: str, datasets: Any, tmp_path: Path
) -> None:
    change(columns(datasets, tmp_path), datasets, tmp_path).save_to_disk(tmp_path / "saved")
    with pytest.raises(DataError, match=says) as caught:
        read(tmp_path / "saved")
    assert "\n" not in str(caught.value)


def test_an_image_that_lies_elsewhere_is_not_opened(datasets: Any, tmp_path: Path) -> None:
    """A row may name any file of the machine. datasets itself embeds such files, so the data set is made by hand."""
    whole = columns(datasets, tmp_path)
    Image.fromarray(np.zeros((6, 6), np.uint8)).save(tmp_path / "secret.png")
    rows = [{"bytes": None, "path": str(tmp_path / "secret.png")}] * len(whole)
    struct = {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}
    features = datasets.Features({"picture": struct, "kind": whole.features["kind"]})
    datasets.Dataset.from_dict({"picture": rows, "kind": whole["kind"][:]}, features=features).save_to_disk(
        tmp_path / "saved"
    )
    info = json.loads((tmp_path / "saved" / "dataset_info.json").read_text())
    info["features"]["picture"] = {"_type": "Image"}
    (tmp_path / "saved" / "dataset_info.json").write_text(json.dumps(info))
    with pytest.raises(DataError, match=r"saved: image 0 is not in the data set itself"):
        read(tmp_path / "saved")


def test_a_folder_that_is_missing_or_no_data_set_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone: no such folder; give data\.path one that datasets' save_to_disk wrote"):
        read(tmp_path / "gone")
    if importlib.util.find_spec("datasets") is None:
        says = r"'huggingface' needs datasets, .*; pip install dispersive-sweeper\[huggingface\]$"
    else:
        says = r"not a data set that save_to_disk wrote \("
    with pytest.raises(DataError, match=says) as caught:
        read(tmp_path)
    assert "\n" not in str(caught.value)
