"""A synthetic data set of known factors: shapes of a class, a place and a size, drawn from a seed.

The set of possible images is known exactly, so that a probe's accuracy, a model's coverage and copying can be
distinguished from chance.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

SHAPES = ("disc", "ring", "square", "cross", "bar")
IMAGES, SIDE, FINE = 3000, 8, 16  # FINE x FINE points a pixel, of which its grey is the share inside
SEED = 20250611

Points = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


class Factors(NamedTuple):
    """What image i shows: `shape_N` 0 .. 4, as `SHAPES`; centre and half-width in pixels."""

    shape_N: npt.NDArray[np.int64]
    x_N: Points
    y_N: Points
    size_N: Points


class Shapes(NamedTuple):
    """Images [N, 1, 8, 8], 0 to 255, and what they show."""

    images: npt.NDArray[np.uint8]
    factors: Factors


def draw_shapes() -> Shapes:
    """Draw the data set; it is the same on every machine, since it takes only sums, products and comparisons."""
    # RandomState rather than default_rng: numpy promises that its stream never changes.
    random = np.random.RandomState(SEED)
    shape_N = np.arange(IMAGES, dtype=np.int64) % len(SHAPES)
    size_N = random.uniform(1.5, 3.0, IMAGES)
    # Wholly inside the image.
    x_N, y_N = (size_N + random.uniform(0, 1, IMAGES) * (SIDE - 2 * size_N) for _ in range(2))
    factors = Factors(shape_N, x_N, y_N, size_N)
    images = np.stack([_image(int(shape), *where) for shape, *where in zip(*factors, strict=True)])
    return Shapes(images[:, None], factors)


def _image(shape: int, x: float, y: float, size: float) -> npt.NDArray[np.uint8]:
    points = (np.arange(SIDE * FINE) + 0.5) / FINE
    inside = _inside(SHAPES[shape], (points[None, :] - x) / size, (points[:, None] - y) / size)
    count = inside.reshape(SIDE, FINE, SIDE, FINE).sum(axis=(1, 3))
    return np.asarray(count * 255 // FINE**2, dtype=np.uint8)


def _inside(shape: str, u: Points, v: Points) -> Mask:
    """Return which points are inside a shape that fills the square from -1 to 1."""
    square = (abs(u) <= 1) & (abs(v) <= 1)
    match shape:
        case "disc":
            return u * u + v * v <= 1
        case "ring":
            return (u * u + v * v <= 1) & (u * u + v * v >= 0.3)
        case "square":
            return square
        case "cross":
            return square & ((abs(u) <= 0.3) | (abs(v) <= 0.3))
        case "bar":
            return square & (abs(v) <= 0.3)
        case _:
            raise AssertionError(shape)
