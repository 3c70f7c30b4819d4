"""Images held as bytes give the numbers that float images gave, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from trainer.data.dataset import load
from trainer.data.images import Images
from trainer.data.sources import read_digits
from trainer.recipe import DataRecipe


@pytest.mark.parametrize("white", [255.0, 16.0])
def test_every_level_is_what_scaling_the_whole_set_made_of_it(white: float) -> None:
    held = torch.arange(int(white) + 1, dtype=torch.uint8).reshape(-1, 1, 1, 1)
    scaled = torch.from_numpy(held.numpy().astype(np.float32)).mul_(2 / white).sub_(1)
    images, rows = Images(held, white), torch.tensor([3, 0, 3])
    for given, expected in [
        (images[:], scaled),
        (images[rows], scaled[rows]),
        (images[2:9:3], scaled[2:9:3]),
        (images[5], scaled[5]),
        (images.take(rows), scaled[rows]),
        (torch.cat([part[:] for part in images.split(5)]), scaled),
        (images.to("cpu")[:], scaled),
    ]:
        assert given.dtype == torch.float32
        assert given.equal(expected)
    assert images[:].max() == 1
    assert images[:].min() == -1


def test_what_is_given_can_be_changed_without_changing_what_is_held() -> None:
    images = Images(torch.zeros(3, 1, 2, 2, dtype=torch.uint8), 255.0)
    images[0:2].add_(7)
    assert images[:].eq(-1).all()


def test_pixels_are_held_in_a_byte_each() -> None:
    data = load(DataRecipe())
    held = [data.train_images, data.held_images, data.reference_images]
    assert {images._held.dtype for images in held} == {torch.uint8}
    assert len(data.train_images) + len(data.held_images) == len(read_digits().images)
