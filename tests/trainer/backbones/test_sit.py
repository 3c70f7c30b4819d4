import math
from math import prod

import numpy as np
import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from trainer.backbones import attention
from trainer.backbones.flat_parameters import views
from trainer.backbones.protocol import Conditioning
from trainer.backbones.sit import SiT, sincos_positions
from trainer.recipe import SiTRecipe

CPU = torch.device("cpu")
SHAPE, CLASSES, SCALE = (3, 8, 4), 5, 1000.0


def build(**size: int) -> SiT:
    return SiT(SiTRecipe(**{"width": 16, "depth": 2, "heads": 2, "patch": 2, **size}), SHAPE, CLASSES, SCALE, CPU)


def random_weights(model: SiT, lanes: int, scale: float = 0.2) -> dict[str, torch.Tensor]:
    size = sum(prod(slot.shape) for slot in model.layout.values())
    flat = scale * torch.randn(lanes, size, generator=torch.Generator().manual_seed(0))
    return views(flat, model.layout)


def inputs(lanes: int, batch: int = 3) -> tuple[torch.Tensor, Conditioning]:
    random = torch.Generator().manual_seed(1)
    x = torch.randn(lanes, batch, *SHAPE, generator=random)
    time = torch.rand(lanes, batch, generator=random)
    return x, Conditioning(time, torch.randint(0, CLASSES + 1, (lanes, batch), generator=random))


def mae_positions(rows: int, columns: int, width: int) -> torch.Tensor:
    """MAE's get_2d_sincos_pos_embed, as DiT and SiT copy it: meshgrid(w, h), so columns come first."""

    def one_axis(dim, positions):
        omega = 1.0 / 10000 ** (np.arange(dim // 2, dtype=np.float64) / (dim / 2.0))
        out = np.einsum("m,d->md", positions.reshape(-1), omega)
        return np.concatenate([np.sin(out), np.cos(out)], axis=1)

    grid = np.stack(np.meshgrid(np.arange(columns, dtype=np.float32), np.arange(rows, dtype=np.float32)), axis=0)
    halves = [one_axis(width // 2, axis) for axis in grid]
    return torch.from_numpy(np.concatenate(halves, axis=1)).float()


def reference(model: SiT, w: dict[str, torch.Tensor], x: torch.Tensor, t: torch.Tensor, y: torch.Tensor):
    """SiT as its paper and public code describe it, for one model: convolution, modules, fused attention."""
    width, heads, side = model.recipe.width, model.recipe.heads, model.recipe.patch

    def linear(name, value):
        return F.linear(value, w[f"{name}.weight"].T, w[f"{name}.bias"])

    kernel = w["patch.weight"].T.reshape(width, SHAPE[0], side, side)
    tokens = F.conv2d(x, kernel, w["patch.bias"], stride=side).flatten(2).transpose(1, 2)
    tokens = tokens + mae_positions(SHAPE[1] // side, SHAPE[2] // side, width)
    half = torch.exp(-math.log(10_000) * torch.arange(128) / 128)
    args = (t * SCALE)[:, None] * half
    c = linear("time2", F.silu(linear("time1", torch.cat([torch.cos(args), torch.sin(args)], -1))))
    c = F.silu(c + F.embedding(y, w["labels"]))
    modulations = linear("modulation", c).chunk(6 * model.recipe.depth + 2, dim=1)
    after = []

    def adaptive_norm(value, shift, scale):
        return F.layer_norm(value, (width,), eps=1e-6) * (1 + scale.unsqueeze(1)) + shift.unsqueeze(1)

    for i in range(model.recipe.depth):
        s1, c1, g1, s2, c2, g2 = modulations[6 * i : 6 * i + 6]
        q, k, v = linear(f"{i}.qkv", adaptive_norm(tokens, s1, c1)).chunk(3, dim=-1)
        split = [part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in (q, k, v)]
        mixed = F.scaled_dot_product_attention(*split).transpose(1, 2).flatten(2)
        tokens = tokens + g1.unsqueeze(1) * linear(f"{i}.out", mixed)
        hidden = F.gelu(linear(f"{i}.up", adaptive_norm(tokens, s2, c2)))
        tokens = tokens + g2.unsqueeze(1) * linear(f"{i}.down", hidden)
        after.append(tokens)
    out = linear("final", adaptive_norm(tokens, *modulations[-2:]))
    out = out.reshape(len(x), SHAPE[1] // side, SHAPE[2] // side, SHAPE[0], side, side)
    return torch.einsum("nhwcpq->nchpwq", out).reshape(len(x), *SHAPE), after


def test_every_lane_equals_the_published_architecture():
    model = build()
    weights, (x, given) = random_weights(model, 3), inputs(3)
    output = model(weights, x, given, range(2))
    for lane in range(3):
        t, y = given.time[lane], given.label[lane]
        velocity, after = reference(model, {name: w[lane] for name, w in weights.items()}, x[lane], t, y)
        torch.testing.assert_close(output.prediction[lane], velocity, rtol=1e-4, atol=1e-4)
        for block, tokens in enumerate(after):
            torch.testing.assert_close(output.taps[block][lane], tokens, rtol=1e-4, atol=1e-4)


def test_long_sequences_use_the_fused_kernel_and_give_the_same():
    model = SiT(SiTRecipe(width=16, depth=1, heads=2, patch=1), (1, 10, 10), CLASSES, SCALE, CPU)
    weights = random_weights(model, 1)
    x, given = torch.randn(1, 2, 1, 10, 10), Conditioning(torch.rand(1, 2), torch.tensor([[0, 5]]))
    fused = model(weights, x, given).prediction
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attention, "SMALL", 1000)
        torch.testing.assert_close(fused, model(weights, x, given).prediction, rtol=1e-4, atol=1e-5)


def test_initial_network_is_adaln_zero_velocity_zero_and_blocks_identity():
    model = build()
    flat = model.initial_weights(torch.Generator().manual_seed(0))
    output = model(views(flat[None], model.layout), *inputs(1), taps=(0, 1))
    assert float(output.prediction.abs().max()) == 0
    torch.testing.assert_close(output.taps[0], output.taps[1])
    assert float(output.taps[0].std()) > 0.1


def test_only_the_tokens_asked_for_are_kept_and_they_are_those_after_their_block():
    model = build(depth=3)
    weights, given = random_weights(model, 2), inputs(2)
    assert model(weights, *given).taps == {}
    kept = model(weights, *given, taps=[2, 0])
    assert set(kept.taps) == {0, 2}
    after = list(model.walk(weights, *given))
    assert len(after) == 3
    assert kept.taps[0].equal(after[0])
    assert kept.taps[2].equal(after[2])
    assert kept.prediction.equal(model(weights, *given).prediction)


def test_initial_weights_follow_the_seed_alone():
    model = build()
    one, again, other = (model.initial_weights(torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_xavier_bound_of_products():
    model = build()
    weights = views(model.initial_weights(torch.Generator().manual_seed(0))[None], model.layout)
    bound = math.sqrt(6 / (16 + 48))
    assert bound * 0.95 < float(weights["0.qkv.weight"].abs().max()) <= bound


def test_patch_must_divide_the_image():
    with pytest.raises(ValueError, match="patch 3 does not divide images of 8x4"):
        build(patch=3)


def test_positions_are_those_of_mae():
    torch.testing.assert_close(sincos_positions(3, 4, 16), mae_positions(3, 4, 16))


def test_positions_differ_everywhere_and_have_unit_waves():
    positions = sincos_positions(3, 4, 16)
    assert positions.shape == (12, 16)
    assert float(torch.pdist(positions).min()) > 0.1
    torch.testing.assert_close(positions[:, 0:4] ** 2 + positions[:, 4:8] ** 2, torch.ones(12, 4))


def test_a_scaled_stream_is_that_of_scaled_first_tokens():
    plain = build()
    scaled = SiT(plain.recipe.model_copy(update={"stream_scale": 3.0}), SHAPE, plain.classes, SCALE, CPU)
    weights, (x, given) = random_weights(plain, 1), inputs(1)
    by_hand = {**weights, "patch.weight": 3 * weights["patch.weight"], "patch.bias": 3 * weights["patch.bias"]}
    plain.positions_ND = 3 * plain.positions_ND
    found, expected = scaled(weights, x, given).prediction, plain(by_hand, x, given).prediction
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
