from __future__ import annotations

import io

import numpy as np
import torch
from PIL import Image

from trainer.sampling.image_grid import encode_png


def decode(png: bytes) -> np.ndarray:
    image = Image.open(io.BytesIO(png))
    assert (image.format, image.mode) == ("PNG", "RGB")
    return np.asarray(image)


def test_small_images_are_enlarged_without_smoothing_and_laid_out_row_by_row() -> None:
    images = torch.full((3, 1, 8, 8), -1.0)
    images[1, 0, 0, 0] = 1.0
    images[2] = 0.0
    sheet = decode(encode_png(images, columns=2))
    assert sheet.shape == (2 + 2 * 34, 2 + 2 * 34, 3)
    assert (sheet[2:34, 2:34] == 0).all()
    assert (sheet[2:6, 36:40] == 255).all()
    assert (sheet[6:34, 36:68] == 0).all()
    assert (sheet[36:68, 2:34] == 128).all()
    assert (sheet[36:68, 36:68] == 255).all()  # no fourth image: white


def test_large_colour_images_keep_their_size_and_channel_order() -> None:
    images = torch.full((1, 3, 40, 48), -1.0)
    images[:, 0] = 1.0
    sheet = decode(encode_png(images, columns=1))
    assert sheet.shape == (44, 52, 3)
    assert sheet[20, 20].tolist() == [255, 0, 0]


def test_latents_show_their_first_three_channels_stretched_to_full_range() -> None:
    latents = torch.zeros(2, 4, 32, 32)
    latents[0, 1], latents[1, 1] = -7.0, 13.0
    sheet = decode(encode_png(latents, columns=2))
    assert sheet[10, 10].tolist() == [0, 0, 0]
    assert sheet[10, 44].tolist() == [0, 255, 0]


def test_a_diverged_models_samples_are_drawn_too() -> None:
    sheet = decode(encode_png(torch.full((1, 1, 8, 8), float("nan")), columns=4))
    assert (sheet[2:34, 2:34] == 0).all()


def test_the_same_images_give_the_same_bytes() -> None:
    images = torch.rand(6, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert encode_png(images, 3) == encode_png(images.clone(), 3)
