"""Arrays x and y of npz, npy and safetensors files, read or mapped: the same data whichever file they come from."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_tensors

from trainer.data import array_files, parts
from trainer.data.dataset import Dataset, load
from trainer.data.images import Images
from trainer.data.standardisation import Standardisation
from trainer.errors import DataError
from trainer.recipe import DataRecipe, Recipe

X = np.random.RandomState(0).randn(40, 3, 4, 6).astype(np.float32) * np.array([1, 5, 9], np.float32)[:, None, None] + 20
Y = np.arange(40) % 2
PIXELS = np.random.RandomState(0).randint(0, 256, (40, 3, 4, 6), dtype=np.uint8)


def npz(root: Path, x: np.ndarray, y: np.ndarray = Y, save: Callable[..., None] = np.savez) -> dict[str, Any]:
    save(root / "x.npz", x=x, y=y)
    return {"name": "npz", "path": str(root / "x.npz")}


def npy(root: Path, x: np.ndarray, y: np.ndarray = Y) -> dict[str, Any]:
    np.save(root / "x.npy", x)
    np.save(root / "y.npy", y)
    return {"name": "npy", "path": str(root / "x.npy"), "labels": str(root / "y.npy")}


def tensors(root: Path, x: np.ndarray, y: np.ndarray = Y) -> dict[str, Any]:
    save_file({"x": np.ascontiguousarray(x), "y": y}, root / "x.safetensors")
    return {"name": "safetensors", "path": str(root / "x.safetensors")}


def read(given: dict[str, Any], **more: object) -> Dataset:
    return load(DataRecipe.model_validate({**given, **more}))


def is_mapped(data: Dataset) -> bool:
    return data.train_images._rows is not None


@pytest.fixture
def mapped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every array is mapped, and looked at a few numbers at a time."""
    monkeypatch.setattr(array_files, "MAPPED_FROM", 0)
    monkeypatch.setattr(parts, "NUMBERS", 500)


@pytest.mark.parametrize("x", [X, X.astype(np.float16), X.astype(np.float64), PIXELS], ids=lambda x: str(x.dtype))
@pytest.mark.parametrize("write", [npz, npy, tensors])
def test_every_kind_of_file_gives_the_same_data_read_or_mapped(
    write: Callable[..., dict[str, Any]], x: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, whole = read(npz(tmp_path, x)), read(write(tmp_path, x))
    monkeypatch.setattr(array_files, "MAPPED_FROM", 0)
    mapped = read(write(tmp_path, x))
    assert (is_mapped(expected), is_mapped(whole), is_mapped(mapped)) == (False, False, True)
    assert expected.hash == whole.hash == mapped.hash
    for images in ("train_images", "held_images", "reference_images"):
        first, second, third = (getattr(data, images) for data in (expected, whole, mapped))
        assert first[:].dtype == third[:].dtype == torch.float32
        assert first[:].equal(second[:])
        assert first[:].equal(third[:])
    assert expected.held_labels.equal(mapped.held_labels)


@pytest.mark.usefixtures("mapped")
def test_mapped_images_are_indexed_as_held_ones(tmp_path: Path) -> None:
    images = read(npy(tmp_path, X)).train_images
    whole, rows = images[:], torch.tensor([3, 0, 3])
    for given, expected in [
        (images[rows], whole[rows]),
        (images[2:9:3], whole[2:9:3]),
        (images[5], whole[5]),
        (images.take(rows), whole[rows]),
        (torch.cat([part[:] for part in images.split(5)]), whole),
        (images.to("cpu")[:], whole),
        (images.copied_to("cpu")[:], whole),
        (images.copied_to("cpu").take(rows), whole[rows]),
    ]:
        assert given.equal(expected)
    assert images.shape == images.to("meta").shape == whole.shape
    assert images.to("meta").device.type == "meta"
    # On another device pixels are held in a byte each as well.
    pixels = read(npy(tmp_path, PIXELS)).train_images
    assert pixels.copied_to("cpu")._held.dtype == torch.uint8
    assert pixels.copied_to("cpu")[:].equal(pixels[:])


@pytest.mark.usefixtures("mapped")
def test_statistics_in_parts_are_those_of_the_whole(tmp_path: Path) -> None:
    data = read(npy(tmp_path, X))
    found, expected = data.standardisation, Standardisation.by_channel(torch.from_numpy(X[reference_rows(data)]))
    assert found is not None
    torch.testing.assert_close(found.shift, expected.shift, rtol=1e-14, atol=0)
    torch.testing.assert_close(found.spread, expected.spread, rtol=1e-13, atol=0)


def reference_rows(data: Dataset) -> np.ndarray:
    assert data.reference_images._rows is not None
    return data.reference_images._rows.numpy()


@pytest.mark.parametrize("from_bytes", [0, 2**26])
def test_latents_are_scaled_and_shifted_as_the_study_says_instead_of_by_channel(
    from_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = read(npy(tmp_path, X))
    assert plain.standardisation is not None
    raw = plain.standardisation.undone(plain.reference_images[:])
    monkeypatch.setattr(array_files, "MAPPED_FROM", from_bytes)
    for given, expected in (
        ({"scale": 0.18215}, raw * 0.18215),
        ({"shift": 0.1159}, raw - 0.1159),
        ({"scale": 0.3611, "shift": 0.1159}, (raw - 0.1159) * 0.3611),
    ):
        scaled = read(npy(tmp_path, X), **given)
        torch.testing.assert_close(scaled.reference_images[:], expected)
        assert scaled.standardisation is not None
        torch.testing.assert_close(scaled.standardisation.undone(scaled.reference_images[:]), raw)
        assert scaled.reference_hash != plain.reference_hash
    assert read(npy(tmp_path, X), scale=1).reference_hash != plain.reference_hash


def test_pixels_are_not_scaled(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"x\.npz: holds pixels; data\.scale and data\.shift are for latents"):
        read(npz(tmp_path, PIXELS), scale=0.5)


@pytest.mark.usefixtures("mapped")
def test_channels_last_and_columns_first_are_looked_at_where_they_lie(tmp_path: Path) -> None:
    # Each in a folder of its own: a mapped file that is written anew changes what was read of it.
    for name in ("first", "last", "columns"):
        (tmp_path / name).mkdir()
    expected = read(npy(tmp_path / "first", X))
    last = read(npy(tmp_path / "last", np.ascontiguousarray(X.transpose(0, 2, 3, 1))), layout="channels_last")
    columns = read(npy(tmp_path / "columns", np.asfortranarray(X)))
    for data in (last, columns):
        assert is_mapped(data)
        assert data.hash == expected.hash
        torch.testing.assert_close(data.train_images[:], expected.train_images[:])


@pytest.mark.usefixtures("mapped")
def test_what_cannot_be_mapped_is_read(tmp_path: Path) -> None:
    expected = read(npz(tmp_path, X)).train_images[:]
    for given in (npz(tmp_path, X, save=np.savez_compressed), npy(tmp_path, X.astype(">f4"))):
        data = read(given)
        assert not is_mapped(data)
        torch.testing.assert_close(data.train_images[:], expected)


def test_a_mapped_set_is_loaded_with_less_memory_than_it_has(tmp_path: Path) -> None:
    """256 MB of float16, with 120 MB to hold anything in beside what torch and numpy hold."""
    x = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float16, (32_768, 4, 32, 32))  # a sparse file of zeros
    x[::2] = 1
    del x
    np.save(tmp_path / "y.npy", np.arange(32_768) % 4)
    code = f"""
import resource
from trainer.data.dataset import load
from trainer.recipe import DataRecipe
load(DataRecipe())
held = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmData"))
resource.setrlimit(resource.RLIMIT_DATA, (1024 * held + 120 * 2**20,) * 2)
data = load(DataRecipe(name="npy", path={str(tmp_path / "x.npy")!r}, labels={str(tmp_path / "y.npy")!r}))
print(data.shape, data.classes, round(float(data.train_images[:100].std()), 2))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("(4, 32, 32) 4 1.0\n"), done.stderr
    assert done.stderr == ""


def test_labels_of_a_safetensors_file_may_be_a_file_of_their_own(tmp_path: Path) -> None:
    expected, given = read(tensors(tmp_path, X)), npy(tmp_path, X)
    save_file({"x": X}, tmp_path / "x.safetensors")
    path = str(tmp_path / "x.safetensors")
    assert read({"name": "safetensors", "path": path, "labels": given["labels"]}).hash == expected.hash
    with pytest.raises(DataError, match=r"x\.safetensors: has tensors \['x'\]; name the .* or give data\.labels"):
        read({"name": "safetensors", "path": path})


@pytest.mark.parametrize("write", [npz, npy, tensors])
def test_a_row_without_a_label_is_named_and_refused(tmp_path: Path, write: Callable[..., dict[str, Any]]) -> None:
    y = Y.astype(np.int64)
    y[[3, 5]] = -1
    with pytest.raises(DataError, match=r"\.(npz|npy|safetensors): y\[3\] is -1, which names no class") as caught:
        read(write(tmp_path, X, y))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"name": "npy", "path": "x"}, "labels is needed for 'npy', possible for 'safetensors'"),
        ({"name": "npz", "path": "x", "labels": "y"}, "labels is needed for 'npy', possible for 'safetensors'"),
        ({"name": "npy", "labels": "y"}, "path is needed for 'folder', 'huggingface', 'npz', 'npy', 'safetensors'"),
        ({"scale": 2.0}, r"data\.scale\s+must be left out where data.name is none of npz, npy, safetensors"),
        ({"name": "folder", "path": "x", "image_size": 8, "shift": 2.0}, r"data\.shift\s+must be left out"),
        ({"name": "npy", "path": "x", "labels": "y", "scale": 0}, "greater than 0"),
    ],
)
def test_a_key_that_does_not_fit_the_source_is_refused(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Recipe.model_validate({"data": given})


def cut(root: Path) -> dict[str, Any]:
    given = npy(root, X)
    content = (root / "x.npy").read_bytes()
    (root / "x.npy").write_bytes(content[:-1])
    return given


def damaged(root: Path) -> dict[str, Any]:
    given = npz(root, X)
    content = bytearray((root / "x.npz").read_bytes())
    content[content.index(X.tobytes()[:64]) + 7] ^= 1
    (root / "x.npz").write_bytes(content)
    return given


def brain_floats(root: Path) -> dict[str, Any]:
    save_tensors({"x": torch.from_numpy(X).bfloat16(), "y": torch.from_numpy(Y)}, root / "x.safetensors")
    return {"name": "safetensors", "path": str(root / "x.safetensors")}


def text(root: Path, name: str) -> dict[str, Any]:
    given = {"npy": npy, "safetensors": tensors}[name](root, X)
    Path(given["path"]).write_text("no arrays")
    return given


def objects(root: Path) -> dict[str, Any]:
    given = npy(root, X)
    np.save(root / "y.npy", np.array([None] * 40), allow_pickle=True)
    return given


BROKEN: list[tuple[Callable[[Path], dict[str, Any]], str]] = [
    (lambda root: {**npy(root, X), "path": str(root / "gone.npy")}, r"gone\.npy: no such file; give data\.path an npy"),
    (lambda root: {**npy(root, X), "labels": str(root / "gone.npy")}, r"gone\.npy: no such file; give data\.labels an"),
    (
        lambda root: {**tensors(root, X), "path": str(root / "gone")},
        r"gone: no such file; give data\.path a safetensors",
    ),
    (lambda root: npy(root, X, Y[:7]), r"y\.npy: y is int64 \[7\]; it must be 40 integers"),
    (cut, r"x\.npy: not a readable npy \(it should hold \[40, 3, 4, 6\] numbers of float32 and has .*numpy\.save"),
    (damaged, r"x\.npz: not a readable npz \(Bad CRC-32"),
    (brain_floats, r"x\.safetensors: x is BF16; save it as one of U8, F16"),
    (lambda root: text(root, "npy"), r"x\.npy: not a readable npy \(.*; write it with numpy\.save"),
    (lambda root: text(root, "safetensors"), r"x\.safetensors: not a readable safetensors \(.*; write it with safe"),
    (objects, r"y\.npy: not a readable npy \(it holds Python objects\)"),
    (lambda root: npy(root, np.where(X > 40, np.nan, X)), r"x\.npy: x has values that are not finite"),
    (lambda root: npy(root, X[:, 0, 0, 0]), r"x\.npy: x is float32 \[40\]"),
    (lambda root: npy(root, X[:0], Y[:0]), r"x\.npy: 0 images are too few"),
]


@pytest.mark.parametrize("from_bytes", [0, 2**26], ids=["mapped", "read"])
@pytest.mark.parametrize(("make", "says"), BROKEN)
def test_a_file_that_cannot_be_used_is_one_line_with_its_name(
    make: Callable[[Path], dict[str, Any]], says: str, from_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(array_files, "MAPPED_FROM", from_bytes)
    with pytest.raises(DataError, match=says) as caught:
        read(make(tmp_path))
    assert "\n" not in str(caught.value)


def test_images_without_rows_stay_what_they_were() -> None:
    held = torch.zeros(3, 1, 2, 2, dtype=torch.uint8)
    assert Images(held, 255.0).to("cpu")._held is held
