from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from trainer.data.dataset import Dataset, load
from trainer.data.sources import read_digits
from trainer.errors import DataError
from trainer.recipe import DataRecipe, Layout, Recipe


def write_folder(root: Path, size: tuple[int, int] = (6, 6), each: int = 6) -> None:
    random = np.random.RandomState(0)
    for name in ("b-cats", "a-dogs"):
        (root / name).mkdir(parents=True)
        for i in range(each):
            pixels = random.randint(0, 256, (size[1], size[0], 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{i}.png")


def folder(root: Path, size: int = 6, channels: int = 3) -> Dataset:
    return load(DataRecipe(name="folder", path=str(root), image_size=size, channels=channels))


def npz(path: Path, layout: Layout = "auto", **arrays: np.ndarray) -> Dataset:
    np.savez(path, **arrays)
    return load(DataRecipe(name="npz", path=str(path), layout=layout))


def test_digits_are_8_by_8_pixels_between_minus_one_and_one(digits: Dataset) -> None:
    assert (digits.name, digits.shape, digits.classes, digits.pixels) == ("digits", (1, 8, 8), 10, True)
    assert digits.train_images[:].dtype == torch.float32
    assert digits.train_labels.dtype == torch.int64
    assert (float(digits.train_images[:].min()), float(digits.train_images[:].max())) == (-1, 1)
    assert len(digits.train_images) + len(digits.held_images) == 1797


def test_mnist5k_is_28_by_28_with_500_images_a_class() -> None:
    data = load(DataRecipe(name="mnist5k"))
    assert data.shape == (1, 28, 28)
    assert data.reference_labels.bincount().tolist() == [400] * 10
    assert data.held_labels.bincount().tolist() == [100] * 10


def test_digits_are_scikit_learns_own() -> None:
    own, read = load_digits(), read_digits()
    assert np.array_equal(read.images[:, 0], own.images)
    assert np.array_equal(read.labels, own.target)


def test_a_second_load_gives_the_same_split_and_the_same_hash(digits: Dataset) -> None:
    again = load(DataRecipe())
    assert again.hash == digits.hash
    assert again.held_images[:].equal(digits.held_images[:])
    assert again.train_labels.equal(digits.train_labels)


def test_every_class_holds_out_its_share(digits: Dataset) -> None:
    held, kept = digits.held_labels.bincount(), digits.reference_labels.bincount()
    assert held.tolist() == [round(0.2 * int(n)) for n in held + kept]


def test_a_limit_takes_a_balanced_subset_and_leaves_reference_and_held_out_whole(digits: Dataset) -> None:
    few, more = load(DataRecipe(limit=25)), load(DataRecipe(limit=50))
    assert sorted(few.train_labels.bincount().tolist()) == [2] * 5 + [3] * 5
    assert few.reference_images[:].equal(digits.reference_images[:])
    assert few.held_images[:].equal(digits.held_images[:])
    rows = {image.numpy().tobytes() for image in few.train_images[:]}
    assert rows <= {image.numpy().tobytes() for image in more.train_images[:]}


def test_the_hash_knows_the_limit_and_the_reference_hash_knows_the_split_only(digits: Dataset) -> None:
    few, halved = load(DataRecipe(limit=25)), load(DataRecipe(holdout=0.5))
    assert few.hash != digits.hash
    assert few.reference_hash == digits.reference_hash
    assert halved.reference_hash != digits.reference_hash


@pytest.mark.parametrize("limit", [5, 1439])
def test_a_limit_that_cannot_be_met_says_what_can(limit: int) -> None:
    with pytest.raises(DataError, match=rf"digits: data.limit is {limit}; choose from 10 .* to 1438"):
        load(DataRecipe(limit=limit))


def test_a_folder_names_classes_in_order_and_ignores_what_is_no_image(tmp_path: Path) -> None:
    write_folder(tmp_path)
    (tmp_path / "a-dogs" / "notes.txt").write_text("no image")
    (tmp_path / "a-dogs" / "._0.png").write_text("a file manager's leftover")
    for hidden in (tmp_path / ".thumbnails", tmp_path / "a-dogs" / ".thumbnails"):
        hidden.mkdir()
        Image.new("RGB", (6, 6)).save(hidden / "small.png")
    (tmp_path / "empty").mkdir()
    data = folder(tmp_path)
    assert (data.shape, data.classes, len(data.reference_labels)) == ((3, 6, 6), 2, 10)
    dogs = {np.asarray(Image.open(file)).tobytes() for file in (tmp_path / "a-dogs").glob("[0-9].png")}
    first = data.reference_images[data.reference_labels == 0]
    seen = {((i + 1) * 127.5).round().byte().permute(1, 2, 0).contiguous().numpy().tobytes() for i in first}
    assert seen < dogs


def test_a_folder_of_wide_colour_images_is_cropped_resized_and_made_grey(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        pixels = np.zeros((10, 30, 3), dtype=np.uint8)
        pixels[:, 10:20] = 255  # only the central square is white
        for i in range(3):
            Image.fromarray(pixels).save(tmp_path / name / f"{i}.png")
    data = folder(tmp_path, size=5, channels=1)
    assert data.shape == (1, 5, 5)
    assert data.reference_images[:].eq(1).all()


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_pixels_are_white_whatever_colour_lies_below_them(tmp_path: Path, mode: str) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for i in range(3):
            image = Image.new(mode, (4, 4))  # black, wholly transparent
            image.paste(Image.new(mode, (2, 4), "black"), (0, 0))
            image.save(tmp_path / name / f"{i}.png")
    images = folder(tmp_path, size=4).reference_images[:]
    assert images[..., :2].eq(-1).all()
    assert images[..., 2:].eq(1).all()


def test_what_counts_as_white_is_part_of_the_hash(monkeypatch: pytest.MonkeyPatch, digits: Dataset) -> None:
    raw = read_digits()
    monkeypatch.setattr("trainer.data.dataset.read_digits", lambda: raw._replace(white=255.0))
    darker = load(DataRecipe())
    assert not darker.reference_images[:].equal(digits.reference_images[:])
    assert darker.reference_hash != digits.reference_hash


def test_one_changed_pixel_changes_the_hash(tmp_path: Path) -> None:
    x, y = np.zeros((8, 4, 4), np.uint8), np.arange(8) % 2
    before = npz(tmp_path / "a.npz", x=x, y=y)
    x[3, 2, 1] = 1
    after = npz(tmp_path / "b.npz", x=x, y=y)
    assert before.reference_hash != after.reference_hash


def test_all_layouts_of_npz_images_give_the_same_tensors(tmp_path: Path) -> None:
    x = np.random.RandomState(0).randint(0, 256, (12, 5, 5), dtype=np.uint8)
    y = np.arange(12) % 3
    grey, last, second = (npz(tmp_path / "x.npz", x=form, y=y) for form in (x, x[..., None], x[:, None]))
    assert grey.shape == last.shape == second.shape == (1, 5, 5)
    assert grey.train_images[:].equal(last.train_images[:])
    assert grey.train_images[:].equal(second.train_images[:])


def test_latents_with_channels_last_are_the_same_data_once_the_study_says_so(tmp_path: Path) -> None:
    x = np.random.RandomState(0).randn(12, 4, 6, 8).astype(np.float32)
    y = np.arange(12) % 3
    second = npz(tmp_path / "x.npz", x=x, y=y)
    last = npz(tmp_path / "x.npz", layout="channels_last", x=x.transpose(0, 2, 3, 1), y=y)
    assert last.shape == (4, 6, 8)
    assert last.train_images[:].equal(second.train_images[:])
    assert last.hash == second.hash
    # Latents with more channels than rows are refused as a guess, and read once they are said to be so.
    wide = npz(tmp_path / "x.npz", layout="channels_first", x=np.ones((12, 9, 6, 8), np.float32), y=y)
    assert wide.shape == (9, 6, 8)


def test_images_are_held_to_the_layout_that_the_study_says(tmp_path: Path) -> None:
    x = np.random.RandomState(0).randint(0, 256, (12, 3, 5, 3), dtype=np.uint8)  # which it is cannot be seen
    y = np.arange(12) % 3
    assert npz(tmp_path / "x.npz", layout="channels_first", x=x, y=y).shape == (3, 5, 3)
    assert npz(tmp_path / "x.npz", layout="channels_last", x=x, y=y).shape == (3, 3, 5)
    assert npz(tmp_path / "x.npz", layout="channels_last", x=x[..., 0], y=y).shape == (1, 3, 5)
    with pytest.raises(DataError, match=r"x\.npz: x is uint8 .* or have 1 or 3 channels last$"):
        npz(tmp_path / "x.npz", layout="channels_last", x=x[..., :2], y=y)


def test_a_layout_is_said_of_an_npz_alone_and_changes_no_hash_where_it_is_not() -> None:
    with pytest.raises(ValueError, match=r"data\.layout\s+must be left out"):
        Recipe(data=DataRecipe(layout="channels_last"))
    plain = Recipe(data=DataRecipe(name="npz", path="x.npz"))
    assert plain.hash == Recipe(data=DataRecipe(name="npz", path="x.npz", layout="auto")).hash == "24c2168953c8408d"
    assert plain.hash != Recipe(data=DataRecipe(name="npz", path="x.npz", layout="channels_last")).hash


def test_npz_labels_are_renumbered_without_gaps(tmp_path: Path) -> None:
    data = npz(tmp_path / "x.npz", x=np.zeros((8, 4, 4), np.uint8), y=np.array([7, 3] * 4))
    assert data.classes == 2
    assert set(data.reference_labels.tolist()) == {0, 1}


def test_latents_are_standardised_per_channel_over_the_training_split(tmp_path: Path) -> None:
    random = np.random.RandomState(0)
    x = random.randn(40, 3, 4, 4).astype(np.float16) * np.array([1, 5, 9]).reshape(1, 3, 1, 1) + 20
    data = npz(tmp_path / "x.npz", x=x.astype(np.float32), y=np.arange(40) % 2)
    assert not data.pixels
    torch.testing.assert_close(data.reference_images[:].mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(data.reference_images[:].std((0, 2, 3)), torch.ones(3), atol=1e-5, rtol=0)


def image_in(root: Path, content: bytes) -> Path:
    (root / "a").mkdir()
    (root / "a" / "0.png").write_bytes(content)
    return root


def sixteen_bits(root: Path) -> Path:
    (root / "a").mkdir()
    Image.fromarray(np.zeros((4, 4), np.uint16)).save(root / "a" / "0.png")
    return root


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: root / "absent", r"absent: no such folder; give data\.path"),
        (lambda root: root, "no class folders with images in it; put each class's"),
        (lambda root: image_in(root, b"not a png"), r"a/0\.png: cannot be read as an image .*; replace or remove"),
        (sixteen_bits, r"a/0\.png: an image of mode 'I;16'; convert it to 8 bits"),
    ],
)
def test_a_folder_that_cannot_be_read_is_told_in_one_line_with_its_path(tmp_path: Path, make, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        folder(make(tmp_path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("error", [struct.error("unpack requires"), IndexError("list index"), ZeroDivisionError()])
def test_any_error_of_an_image_reader_names_the_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def broken(_path: Path) -> None:
        raise error

    write_folder(tmp_path)
    monkeypatch.setattr(Image, "open", broken)
    with pytest.raises(DataError, match=r"a-dogs/0\.png: cannot be read as an image"):
        folder(tmp_path)


def test_a_truncated_image_is_an_error_and_not_half_an_image(tmp_path: Path) -> None:
    write_folder(tmp_path, size=(64, 64))
    file = tmp_path / "a-dogs" / "2.png"
    file.write_bytes(file.read_bytes()[:2000])
    with pytest.raises(DataError, match=r"2\.png: cannot be read as an image"):
        folder(tmp_path)


IMAGES, LABELS = np.zeros((8, 4, 4), np.uint8), np.arange(8) % 2
NOT_FINITE = np.full((8, 1, 4, 4), np.nan, np.float32)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": IMAGES, "y": LABELS}, r"has arrays \['images', 'y'\]; name the images"),
        ({"x": IMAGES, "y": LABELS[:5]}, r"y is int64 \[5\]; it must be 8 integers"),
        ({"x": IMAGES, "y": LABELS.astype(float)}, "y is float64"),
        ({"x": np.zeros((8, 5, 4, 4), np.uint8), "y": LABELS}, r"x is uint8 \[8, 5, 4, 4\]; images are"),
        ({"x": IMAGES.astype(np.int32), "y": LABELS}, r"x is int32 \[8, 4, 4\]; give uint8 images or float latents"),
        ({"x": NOT_FINITE, "y": LABELS}, "not finite"),
        ({"x": IMAGES, "y": np.array([0] * 7 + [1])}, r"class 1 has 1 image; every class needs 2"),
        ({"x": IMAGES[:2], "y": np.array([0, 0])}, "2 images are too few"),
        ({"x": IMAGES[:0], "y": LABELS[:0]}, "0 images are too few"),
        ({"x": IMAGES, "y": np.array([None] * 8)}, "not a readable npz"),
    ],
)
def test_an_npz_that_does_not_fit_is_told_in_one_line(tmp_path: Path, arrays, message: str) -> None:
    with pytest.raises(DataError, match=rf"x\.npz: .*{message}") as caught:
        npz(tmp_path / "x.npz", **arrays)
    assert "\n" not in str(caught.value)


def test_a_missing_or_broken_npz_is_told_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent\.npz: no such file; give data\.path"):
        load(DataRecipe(name="npz", path=str(tmp_path / "absent.npz")))
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(DataError, match=r"broken\.npz: not a readable npz .*numpy\.savez"):
        load(DataRecipe(name="npz", path=str(tmp_path / "broken.npz")))


def test_importing_the_trainer_brings_in_no_heavy_package() -> None:
    heavy = "sklearn mlxtend PIL torchvision torch_fidelity matplotlib pandas"
    ours = "trainer.evaluation.evaluator, trainer.sampling.image_grid"
    code = f"import sys, {ours}; print([m for m in '{heavy}'.split() if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
