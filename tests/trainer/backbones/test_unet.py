"""The U-Net against one of plain torch layers, written from its description."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from trainer.backbones.flat_parameters import views
from trainer.backbones.protocol import Conditioning
from trainer.backbones.unet import UNet
from trainer.recipe import UNetRecipe

CPU, SCALE = torch.device("cpu"), 1000.0


def build(width: int = 8, levels: int = 3, shape: tuple[int, int, int] = (2, 8, 12)) -> UNet:
    return UNet(UNetRecipe(kind="unet", width=width, levels=levels), shape, 5, SCALE, CPU)


def random_weights(model: UNet, lanes: int) -> dict[str, Tensor]:
    size = sum(math.prod(slot.shape) for slot in model.layout.values())
    return views(0.1 * torch.randn(lanes, size, generator=torch.Generator().manual_seed(1)), model.layout)


def reference(w: dict[str, Tensor], levels: int, x: Tensor, t: Tensor, y: Tensor) -> tuple[Tensor, list[Tensor]]:
    """One lane: residual blocks with scale and shift, average pooling, nearest up-sampling, skips by concatenation."""

    def norm(h: Tensor) -> Tensor:
        return F.group_norm(h, h.shape[1] // 8, eps=1e-6)

    def conv(name: str, h: Tensor) -> Tensor:
        return F.conv2d(h, w[f"{name}.weight"], w[f"{name}.bias"], padding="same")

    angles = SCALE * t[:, None] * torch.exp(-math.log(10_000) * torch.arange(128) / 128)
    waves = torch.cat([angles.cos(), angles.sin()], 1)
    hidden = F.silu(waves @ w["time1.weight"] + w["time1.bias"]) @ w["time2.weight"] + w["time2.bias"]
    modulation = F.silu(hidden + w["labels"][y]) @ w["modulation.weight"] + w["modulation.bias"]
    taken, after, skips = 0, [], []

    def block(name: str, h: Tensor, out: int) -> Tensor:
        nonlocal taken
        shift, scale = modulation[:, taken : taken + 2 * out, None, None].chunk(2, 1)
        taken += 2 * out
        inner = conv(f"{name}.second", F.silu(norm(conv(f"{name}.first", F.silu(norm(h)))) * (1 + scale) + shift))
        return inner + (h if h.shape[1] == out else conv(f"{name}.skip", h))

    widths = [8 * 2**level for level in range(levels)]
    h = conv("first", x)
    for level, out in enumerate(widths):
        h = block(f"down.{level}", F.avg_pool2d(h, 2) if level else h, out)
        skips.append(h)
        after.append(h)
    h = block("mid", h, widths[-1])
    after.append(h)
    for level in reversed(range(levels)):
        h = F.interpolate(h, scale_factor=2.0) if level < levels - 1 else h
        h = block(f"up.{level}", torch.cat([h, skips[level]], 1), widths[level])
        after.append(h)
    return conv("last", F.silu(norm(h))), after


def test_it_computes_what_its_description_says() -> None:
    model = build()
    weights = random_weights(model, 2)
    x, t = torch.randn(2, 3, 2, 8, 12), torch.rand(2, 3)
    y = torch.tensor([[0, 4, 5], [5, 1, 2]])
    output = model(weights, x, Conditioning(t, y), range(len(model.taps)))
    for lane in range(2):
        own = {name: weight[lane] for name, weight in weights.items()}
        predicted, after = reference(own, 3, x[lane], t[lane], y[lane])
        torch.testing.assert_close(output.prediction[lane], predicted, rtol=1e-4, atol=1e-4)
        for tap, feature_map in enumerate(after):
            tokens = feature_map.flatten(2).transpose(1, 2)
            torch.testing.assert_close(output.taps[tap][lane], tokens, rtol=1e-4, atol=1e-4)


def test_taps_are_named_in_the_order_they_are_computed() -> None:
    assert build().taps == ("down.0", "down.1", "down.2", "mid", "up.2", "up.1", "up.0")
    assert build(levels=1).taps == ("down.0", "mid", "up.0")


def test_it_predicts_nothing_before_it_has_learnt() -> None:
    model = build()
    flat = model.initial_weights(torch.Generator().manual_seed(0))
    images = torch.randn(1, 2, 2, 8, 12)
    given = Conditioning(torch.rand(1, 2), torch.tensor([[0, 1]]))
    assert float(model(views(flat[None], model.layout), images, given).prediction.abs().max()) == 0


def test_an_image_that_cannot_be_halved_so_often_is_refused() -> None:
    with pytest.raises(ValueError, match="3 levels halve an image 2 times; 8x10 cannot be"):
        build(shape=(1, 8, 10))
