"""Our weights in the public SiT's layout, against its forward pass written anew from its description."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from trainer.backbones.flat_parameters import views
from trainer.backbones.protocol import Conditioning
from trainer.backbones.public_sit import from_public, to_public
from trainer.backbones.sit import SiT
from trainer.errors import DataError
from trainer.recipe import SiTRecipe
from trainer.recipe.objective import Demands
from trainer.sampling.kept_model import kept_size

CPU = torch.device("cpu")
WIDTH, HEADS, PATCH, CHANNELS, SIDE, CLASSES = 16, 2, 2, 3, 8, 5
MODEL = SiT(SiTRecipe(width=WIDTH, depth=3, heads=HEADS, patch=PATCH), (CHANNELS, SIDE, SIDE), CLASSES, 1000.0, CPU)


def weights(model: SiT = MODEL) -> dict[str, Tensor]:
    """One lane's weights, none of them zero."""
    flat = torch.randn(
        sum(math.prod(slot.shape) for slot in model.layout.values()), generator=torch.Generator().manual_seed(0)
    )
    return views(0.2 * flat[None], model.layout)


def public_state(model: SiT = MODEL) -> dict[str, Tensor]:
    return to_public(model, {name: weight[0] for name, weight in weights(model).items()})


def public_output(
    state: Mapping[str, Tensor], x: Tensor, t: Tensor, y: Tensor, gelu: str, interval: Tensor | None = None
) -> Tensor:
    """What the public code returns, with images [B, C, H, W]: convolution, nn.Linear's convention, one block a turn.

    That is DiT's, of which SiT drops a variance, and MeanFlow's where there is an interval.
    """

    def linear(name: str, given: Tensor) -> Tensor:
        return functional.linear(given, state[f"{name}.weight"], state[f"{name}.bias"])

    def modulated(given: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
        return functional.layer_norm(given, (WIDTH,), eps=1e-6) * (1 + scale[:, None]) + shift[:, None]

    frequencies = torch.exp(-math.log(10000) * torch.arange(128) / 128)

    def embedded(name: str, time: Tensor) -> Tensor:
        waves = torch.cat([torch.cos(time[:, None] * frequencies), torch.sin(time[:, None] * frequencies)], 1)
        return linear(f"{name}.mlp.2", functional.silu(linear(f"{name}.mlp.0", waves)))

    c = embedded("t_embedder", t) + (0 if interval is None else embedded("h_embedder", interval))
    c = functional.silu(c + state["y_embedder.embedding_table.weight"][y])
    proj = state["x_embedder.proj.weight"], state["x_embedder.proj.bias"]
    h = functional.conv2d(x, *proj, stride=PATCH).flatten(2).mT + state["pos_embed"]
    for block in range(3):
        name = f"blocks.{block}"
        shift1, scale1, gate1, shift2, scale2, gate2 = linear(f"{name}.adaLN_modulation.1", c).chunk(6, 1)
        q, k, v = linear(f"{name}.attn.qkv", modulated(h, shift1, scale1)).chunk(3, 2)
        heads = [
            torch.softmax(q_ @ k_.mT / math.sqrt(q_.shape[2]), 2) @ v_
            for q_, k_, v_ in zip(q.chunk(HEADS, 2), k.chunk(HEADS, 2), v.chunk(HEADS, 2), strict=True)
        ]
        h = h + gate1[:, None] * linear(f"{name}.attn.proj", torch.cat(heads, 2))
        hidden = functional.gelu(linear(f"{name}.mlp.fc1", modulated(h, shift2, scale2)), approximate=gelu)
        h = h + gate2[:, None] * linear(f"{name}.mlp.fc2", hidden)
    out = linear("final_layer.linear", modulated(h, *linear("final_layer.adaLN_modulation.1", c).chunk(2, 1)))
    rows = SIDE // PATCH
    image = torch.einsum("nhwpqc->nchpwq", out.reshape(len(x), rows, rows, PATCH, PATCH, -1))
    return image.reshape(len(x), -1, SIDE, SIDE)


@pytest.mark.parametrize(("gelu", "apart"), [("none", 1e-5), ("tanh", 5e-3)])
def test_the_public_model_computes_what_ours_does(gelu, apart):
    x, t, y = torch.randn(4, CHANNELS, SIDE, SIDE), torch.rand(4), torch.tensor([0, 3, 4, CLASSES])
    ours = MODEL(weights(), x[None], Conditioning(t[None], y[None])).prediction[0]
    theirs = public_output(public_state(), x, 1000 * t, y, gelu)
    assert ours.std() > 0.1
    assert (ours - theirs).abs().max() < apart * ours.abs().max()


def test_with_their_gelu_a_variance_and_an_interval_it_is_the_public_dit_and_mean_flow():
    recipe, shape = SiTRecipe(width=WIDTH, depth=3, heads=HEADS, patch=PATCH, gelu="tanh"), (CHANNELS, SIDE, SIDE)
    model = SiT(recipe, shape, CLASSES, 1000.0, CPU, Demands(outputs=2, has_interval=True))
    x, t, y = torch.randn(4, CHANNELS, SIDE, SIDE), torch.rand(4), torch.tensor([0, 3, 4, CLASSES])
    until = t * torch.rand(4)
    ours = model(weights(model), x[None], Conditioning(t[None], y[None], until[None])).prediction[0]
    theirs = public_output(public_state(model), x, 1000 * t, y, "tanh", 1000 * (t - until))
    assert ours.shape == (4, 2 * CHANNELS, SIDE, SIDE)
    assert (ours - theirs).abs().max() < 1e-5 * ours.abs().max()
    flat = from_public(model, public_state(model), "it")
    assert all(torch.equal(view, weights(model)[name]) for name, view in views(flat[None], model.layout).items())


def test_a_scaled_stream_is_in_the_weights_that_begin_it():
    recipe = SiTRecipe(width=WIDTH, depth=3, heads=HEADS, patch=PATCH, gelu="tanh", stream_scale=3)
    model = SiT(recipe, (CHANNELS, SIDE, SIDE), CLASSES, 1000.0, CPU)
    x, t, y = torch.randn(4, CHANNELS, SIDE, SIDE), torch.rand(4), torch.tensor([0, 3, 4, CLASSES])
    ours = model(weights(model), x[None], Conditioning(t[None], y[None])).prediction[0]
    theirs = public_output(public_state(model), x, 1000 * t, y, "tanh")
    assert (ours - theirs).abs().max() < 1e-5 * ours.abs().max()
    flat = from_public(model, public_state(model), "it")
    for name, view in views(flat[None], model.layout).items():
        torch.testing.assert_close(view, weights(model)[name])
    with pytest.raises(DataError, match="is not the sine-cosine embedding"):
        from_public(model, public_state(), "it")


def test_the_size_that_is_announced_is_that_of_the_tensors():
    assert kept_size(MODEL) == sum(tensor.nbytes for tensor in public_state().values())


def test_weights_come_back_bit_for_bit():
    flat = from_public(MODEL, public_state(), "it")
    assert all(torch.equal(view, weights()[name]) for name, view in views(flat[None], MODEL.layout).items())


def test_of_a_model_that_learnt_a_variance_the_velocity_is_taken():
    state = public_state()
    plain = from_public(MODEL, state, "it")
    for kind in ("weight", "bias"):
        last = state[f"final_layer.linear.{kind}"].unflatten(0, (PATCH**2, CHANNELS))
        state[f"final_layer.linear.{kind}"] = torch.cat([last, torch.randn_like(last)], 1).flatten(0, 1)
    assert torch.equal(from_public(MODEL, state, "it"), plain)


def test_positions_may_be_missing_but_not_others():
    state = public_state()
    whole = from_public(MODEL, state, "it")
    positions = state.pop("pos_embed")
    assert torch.equal(from_public(MODEL, state, "it"), whole)
    with pytest.raises(DataError, match=r"it: pos_embed is not the sine-cosine embedding"):
        from_public(MODEL, state | {"pos_embed": positions + 0.1}, "it")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"blocks.0.mlp.fc1.bias": None}, r"it: not a SiT of depth 3: blocks.0.mlp.fc1.bias is missing"),
        ({"blocks.3.mlp.fc1.bias": torch.zeros(64)}, r"blocks.3.mlp.fc1.bias is there and not expected"),
        (
            {"blocks.0.mlp.fc1.bias": torch.zeros(63)},
            r"blocks.0.mlp.fc1.bias has the shape \[63\], not the expected \[64\]",
        ),
        (
            {"y_embedder.embedding_table.weight": torch.zeros(1001, 16)},
            r"label table has 1000 classes .* the data have 5",
        ),
    ],
)
def test_another_models_weights_are_refused_with_what_was_expected(change, says):
    state = {name: tensor for name, tensor in (public_state() | change).items() if tensor is not None}
    with pytest.raises(DataError, match=says):
        from_public(MODEL, state, "it")
