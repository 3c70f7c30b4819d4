"""Our weights under the names, shapes and orders of the public SiT (github.com/willisma/SiT, models.py), and back.

Both ways copy numbers bit for bit, but for a residual stream that is scaled. A DiT (github.com/facebookresearch/DiT)
has the same; a network of intervals has h_embedder beside, as the public MeanFlow (github.com/Gsunshine/meanflow).

D width, C channels, S side of a patch, O outputs a pixel: C, or 2 C with a variance, which a published SiT learnt too
and its own sampler drops
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from trainer.backbones.flat_parameters import flatten, refuse_names, refuse_shapes
from trainer.errors import DataError

if TYPE_CHECKING:
    from trainer.backbones.sit import SiT

# Facts that a state dict cannot carry, stated in the metadata of every kept file.
DIFFERENCES = (
    "load into SiT or DiT with learn_sigma as objective.learned_variance (False without it) and class_dropout_prob "
    "above 0, which take square images; call it with t times train.time_scale; we take the exact GELU, unless "
    "model.gelu is tanh, where they take the approximation by tanh; latents are as data.scale and data.shift have "
    "them or, without these, standardised by channel"
)
POSITIONS, LABELS, LAST = "pos_embed", "y_embedder.embedding_table.weight", "final_layer.linear"


def to_public(model: SiT, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return one lane's weights, each shaped as in the model's layout, as the public SiT's state dict."""
    side, scale, (channels, _, _) = model.recipe.patch, model.recipe.stream_scale, model.shape
    state = {
        # The public code cannot scale the residual stream, so the weights that produce its input are scaled instead.
        POSITIONS: scale * model.positions_ND[None],
        "x_embedder.proj.weight": scale * weights["patch.weight"].T.reshape(-1, channels, side, side),
        "x_embedder.proj.bias": scale * weights["patch.bias"],
        LABELS: weights["labels"],
        f"{LAST}.weight": _pixels_first(weights["final.weight"].T, model.outputs),
        f"{LAST}.bias": _pixels_first(weights["final.bias"], model.outputs),
    }
    for ours, theirs in _products(model):
        state |= {f"{theirs}.weight": weights[f"{ours}.weight"].T, f"{theirs}.bias": weights[f"{ours}.bias"]}
    sizes = _modulated(model)
    parts = (torch.split(weights[f"modulation.{kind}"], list(sizes.values()), -1) for kind in ("weight", "bias"))
    for name, weight, bias in zip(sizes, *parts, strict=True):
        state |= {f"{name}.weight": weight.T, f"{name}.bias": bias}
    return {name: tensor.contiguous() for name, tensor in state.items()}


def from_public(model: SiT, state: Mapping[str, Tensor], place: str) -> Tensor:
    """Return one lane's weights [P] from a public SiT's state dict, whose fixed positions may be missing.

    Raises DataError, which names `place`, where it is of another model, or of another number of classes.
    """
    _refuse_other_shapes(model, state, place)
    tensors, scale = {name: tensor.float() for name, tensor in state.items()}, model.recipe.stream_scale
    named = {
        "patch.weight": tensors["x_embedder.proj.weight"].flatten(1).T / scale,
        "patch.bias": tensors["x_embedder.proj.bias"] / scale,
        "labels": tensors[LABELS],
        "final.weight": _channels_first(model, tensors[f"{LAST}.weight"]).T,
        "final.bias": _channels_first(model, tensors[f"{LAST}.bias"]),
    }
    for ours, theirs in _products(model):
        named |= {f"{ours}.weight": tensors[f"{theirs}.weight"].T, f"{ours}.bias": tensors[f"{theirs}.bias"]}
    named["modulation.weight"] = torch.cat([tensors[f"{name}.weight"].T for name in _modulated(model)], 1)
    named["modulation.bias"] = torch.cat([tensors[f"{name}.bias"] for name in _modulated(model)])
    return flatten(named, model.layout)


def _products(model: SiT) -> Iterator[tuple[str, str]]:
    yield from (("time1", "t_embedder.mlp.0"), ("time2", "t_embedder.mlp.2"))
    if model.demands.has_interval:
        yield from (("interval1", "h_embedder.mlp.0"), ("interval2", "h_embedder.mlp.2"))
    for block in range(model.recipe.depth):
        theirs = f"blocks.{block}"
        yield from (
            (f"{block}.qkv", f"{theirs}.attn.qkv"),
            (f"{block}.out", f"{theirs}.attn.proj"),
            (f"{block}.up", f"{theirs}.mlp.fc1"),
            (f"{block}.down", f"{theirs}.mlp.fc2"),
        )


def _modulated(model: SiT) -> dict[str, int]:
    # The parts of our one product for all modulations, with their outputs.
    width, depth = model.recipe.width, model.recipe.depth
    blocks = {f"blocks.{block}.adaLN_modulation.1": 6 * width for block in range(depth)}
    return blocks | {"final_layer.adaLN_modulation.1": 2 * width}


def _pixels_first(last: Tensor, outputs: int) -> Tensor:
    # [O S S, ...], as we patchify, -> [S S O, ...]
    return last.reshape(outputs, -1, *last.shape[1:]).transpose(0, 1).flatten(0, 1)


def _channels_first(model: SiT, last: Tensor) -> Tensor:
    # [S S O, ...] -> [O S S, ...], less the outputs that ours has not
    outputs = last.reshape(model.recipe.patch**2, -1, *last.shape[1:])
    return outputs[:, : model.outputs].transpose(0, 1).flatten(0, 1)


def _refuse_other_shapes(model: SiT, state: Mapping[str, Tensor], place: str) -> None:
    empty = {name: torch.empty(slot.shape, device="meta") for name, slot in model.layout.items()}
    expected = {name: list(tensor.shape) for name, tensor in to_public(model, empty).items()}
    shapes = {name: list(tensor.shape) for name, tensor in state.items()}
    with_variance = {name: [2 * expected[name][0], *expected[name][1:]] for name in expected if name.startswith(LAST)}
    if model.outputs == model.shape[0] and all(shapes.get(name) == shape for name, shape in with_variance.items()):
        expected |= with_variance
    shapes.setdefault(POSITIONS, expected[POSITIONS])
    refuse_names(shapes, expected, place, f"not a SiT of depth {model.recipe.depth}")
    if shapes[LABELS][0] != expected[LABELS][0] and shapes[LABELS][1:] == expected[LABELS][1:]:
        classes, wanted = shapes[LABELS][0] - 1, model.classes
        raise DataError(f"{place}: its label table has {classes} classes (and 'no class'), the data have {wanted}")
    refuse_shapes(shapes, expected, place)
    positions = state.get(POSITIONS)
    expected_positions = model.recipe.stream_scale * model.positions_ND.cpu()
    if positions is not None and not torch.allclose(positions[0].float(), expected_positions, atol=1e-4):
        raise DataError(f"{place}: {POSITIONS} is not the sine-cosine embedding of the patches' positions")
