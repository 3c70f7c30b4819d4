"""The U-ViT against one of plain torch layers, written from its description."""

from __future__ import annotations

import math

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from trainer.backbones.flat_parameters import views
from trainer.backbones.protocol import Conditioning
from trainer.backbones.uvit import UViT
from trainer.recipe import Recipe, UViTRecipe
from trainer.recipe.objective import Demands

CPU, SCALE, CLASSES, WIDTH = torch.device("cpu"), 1000.0, 5, 12


def build(depth: int = 5, shape: tuple[int, int, int] = (2, 4, 6), demands: Demands = Demands(), **more) -> UViT:  # noqa: B008
    recipe = UViTRecipe(kind="uvit", width=WIDTH, depth=depth, heads=3, patch=2, mlp_ratio=2.0, **more)
    return UViT(recipe, shape, CLASSES, SCALE, CPU, demands)


def random_weights(model: UViT, lanes: int) -> dict[str, Tensor]:
    size = sum(math.prod(slot.shape) for slot in model.layout.values())
    return views(0.2 * torch.randn(lanes, size, generator=torch.Generator().manual_seed(1)), model.layout)


def dense(w: dict[str, Tensor], name: str, h: Tensor) -> Tensor:
    return h @ w[f"{name}.weight"] + w[f"{name}.bias"]


def block(w: dict[str, Tensor], name: str, h: Tensor) -> Tensor:
    """A pre-norm block of torch's own attention."""

    def norm(part: str, h: Tensor) -> Tensor:
        return F.layer_norm(h, (WIDTH,), w[f"{name}.{part}.scale"], w[f"{name}.{part}.shift"], eps=1e-6)

    attention = nn.MultiheadAttention(WIDTH, 3, batch_first=True)
    with torch.no_grad():
        attention.in_proj_weight.copy_(w[f"{name}.qkv.weight"].T)
        attention.in_proj_bias.copy_(w[f"{name}.qkv.bias"])
        attention.out_proj.weight.copy_(w[f"{name}.out.weight"].T)
        attention.out_proj.bias.copy_(w[f"{name}.out.bias"])
    normed = norm("norm1", h)
    h = h + attention(normed, normed, normed, need_weights=False)[0]
    return h + dense(w, f"{name}.down", F.gelu(dense(w, f"{name}.up", norm("norm2", h))))


def token(w: dict[str, Tensor], name: str, time: Tensor) -> Tensor:
    angles = SCALE * time[:, None] * torch.exp(-math.log(10_000) * torch.arange(128) / 128)
    waves = torch.cat([angles.cos(), angles.sin()], 1)
    return dense(w, f"{name}2", F.silu(dense(w, f"{name}1", waves)))


def reference(w: dict[str, Tensor], x: Tensor, given: Conditioning, final_conv: bool) -> tuple[Tensor, list[Tensor]]:
    """One lane of depth 5: block 3 joins what block 1 gave, block 4 what block 0 gave."""
    tokens = [token(w, "time", given.time)]
    if given.until is not None:
        tokens.append(token(w, "interval", given.time - given.until))
    tokens.append(w["labels"][given.label])
    patches = F.unfold(x, 2, stride=2).mT
    h = torch.cat([torch.stack(tokens, 1), dense(w, "patch", patches)], 1) + w["positions"]
    after: list[Tensor] = []
    for number in range(5):
        if number > 2:
            h = dense(w, f"{number}.skip", torch.cat([h, after[{3: 1, 4: 0}[number]]], 2))
        h = block(w, str(number), h)
        after.append(h)
    h = F.layer_norm(h, (WIDTH,), w["norm.scale"], w["norm.shift"], eps=1e-6)[:, len(tokens) :]
    image = F.fold(dense(w, "final", h).mT, x.shape[2:], 2, stride=2)
    if final_conv:
        image = F.conv2d(image, w["last.weight"], w["last.bias"], padding=1)
    return image, [h[:, len(tokens) :] for h in after]


@pytest.mark.parametrize(
    ("demands", "final_conv"),
    [(Demands(), True), (Demands(), False), (Demands(has_interval=True), True), (Demands(outputs=2), True)],
)
def test_it_computes_what_its_description_says(demands: Demands, final_conv: bool) -> None:
    model = build(demands=demands, final_conv=final_conv)
    weights, random = random_weights(model, 2), torch.Generator().manual_seed(2)
    x, t, r = torch.randn(2, 3, 2, 4, 6, generator=random), *torch.rand(2, 2, 3, generator=random)
    given = Conditioning(t, torch.tensor([[0, 4, 5], [5, 1, 2]]), r if demands.has_interval else None)
    output = model(weights, x, given, range(5))
    for lane in range(2):
        own = {name: weight[lane] for name, weight in weights.items()}
        alone = Conditioning(t[lane], given.label[lane], r[lane] if demands.has_interval else None)
        predicted, after = reference(own, x[lane], alone, final_conv)
        assert predicted.shape[1] == 2 * demands.outputs
        torch.testing.assert_close(output.prediction[lane], predicted, rtol=1e-4, atol=1e-4)
        for tap, tokens in enumerate(after):
            torch.testing.assert_close(output.taps[tap][lane], tokens, rtol=1e-4, atol=1e-4)


def test_taps_are_the_blocks_by_number_and_hold_the_patches_alone() -> None:
    model = build()
    assert model.taps == ("0", "1", "2", "3", "4")
    assert {*model.tap_shapes} == {(6, WIDTH)}


def test_only_blocks_after_the_middle_have_a_skip_connection() -> None:
    assert [name for name in build(depth=5).layout if name.endswith("skip.weight")] == [
        "3.skip.weight",
        "4.skip.weight",
    ]
    assert not [name for name in build(depth=1).layout if "skip" in name]


def test_norms_begin_as_plain_ones_and_are_no_factors_of_products() -> None:
    model = build()
    [weights] = [views(model.initial_weights(torch.Generator().manual_seed(0))[None], model.layout)]
    scales = [name for name in model.layout if name.endswith(".scale")]
    assert len(scales) == 11
    assert all(bool((weights[name] == 1).all()) for name in scales)
    assert not any(model.layout[name].is_factor for name in (*scales, "positions", "norm.shift", "labels"))


def test_an_even_depth_and_a_patch_that_does_not_divide_the_image_are_refused() -> None:
    with pytest.raises(
        ValidationError, match="depth must be odd, not 4: as many blocks before the middle one as after"
    ):
        UViTRecipe(kind="uvit", depth=4)
    with pytest.raises(ValueError, match="patch 2 does not divide images of 5x6"):
        build(shape=(1, 5, 6))


def test_a_guide_describes_it_in_a_line() -> None:
    recipe = Recipe.model_validate({"model": {"kind": "uvit", "final_conv": False}})
    assert recipe.model.words == "U-ViT, width 48, depth 5, 4 heads, patch 2, MLP ratio 4, no final convolution"
    assert recipe.model.title == "U-ViT width 48 depth 5"
