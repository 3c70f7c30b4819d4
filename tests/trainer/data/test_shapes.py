"""Made images of known factors."""

import hashlib

import numpy as np
import pytest

from trainer.data.dataset import load
from trainer.data.shapes import IMAGES, SHAPES, draw_shapes
from trainer.recipe import DataRecipe


def test_shapes_are_the_same_images_everywhere() -> None:
    images, factors = draw_shapes()
    digest = hashlib.sha256(images.tobytes() + factors.shape_N.tobytes()).hexdigest()
    assert digest[:16] == "f1789b48d2df85cf"


def test_every_shape_is_there_as_often_and_reaches_the_trainer() -> None:
    data = load(DataRecipe(name="shapes"))
    assert (data.shape, data.classes, data.pixels) == ((1, 8, 8), len(SHAPES), True)
    assert len(data.train_images) + len(data.held_images) == IMAGES
    assert float(data.train_images[:].min()) == -1.0


@pytest.mark.parametrize(("shape", "share"), [("disc", np.pi / 4), ("square", 1.0), ("bar", 0.3), ("cross", 0.51)])
def test_an_images_grey_is_the_area_that_its_factors_say(shape: str, share: float) -> None:
    images, factors = draw_shapes()
    chosen = factors.shape_N == SHAPES.index(shape)
    area = images[chosen].sum(axis=(1, 2, 3)) / 255
    assert area == pytest.approx(share * (2 * factors.size_N[chosen]) ** 2, rel=0.12)


def test_an_image_is_bright_where_its_factors_place_it() -> None:
    images, factors = draw_shapes()
    grey = images[:, 0] / images[:, 0].sum(axis=(1, 2), keepdims=True)
    x_N = (grey.sum(axis=1) * (np.arange(8) + 0.5)).sum(axis=1)
    y_N = (grey.sum(axis=2) * (np.arange(8) + 0.5)).sum(axis=1)
    assert x_N == pytest.approx(factors.x_N, abs=0.15)
    assert y_N == pytest.approx(factors.y_N, abs=0.15)
