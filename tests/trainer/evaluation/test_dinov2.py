from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from trainer.evaluation.dinov2 import DinoV2


def random_state(gated: bool) -> dict[str, torch.Tensor]:
    net = DinoV2(width=128, depth=2, patch=14, positions=1 + 25, hidden=96, gated=gated)
    random = torch.Generator().manual_seed(0)
    return {name: torch.randn(w.shape, generator=random) * 0.2 for name, w in net.state_dict().items()}


def expected(s: dict[str, torch.Tensor], x: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """The published equations, with torch's own attention: tokens run along dimension 0."""
    patches = functional.conv2d(x, s["patch_embed.proj.weight"], s["patch_embed.proj.bias"], stride=14)
    z = torch.cat([s["cls_token"].expand(len(x), -1, -1), patches.flatten(2).transpose(1, 2)], 1) + positions
    z = z.transpose(0, 1)
    for i in range(2):
        b = {name.removeprefix(f"blocks.{i}."): w for name, w in s.items() if name.startswith(f"blocks.{i}.")}
        y = functional.layer_norm(z, (128,), b["norm1.weight"], b["norm1.bias"], 1e-6)
        heads, zero = 2, 0.0
        y, _ = functional.multi_head_attention_forward(
            y, y, y, 128, heads, b["attn.qkv.weight"], b["attn.qkv.bias"], None, None, False, zero,
            b["attn.proj.weight"], b["attn.proj.bias"], need_weights=False,
        )  # fmt: skip
        z = z + b["ls1.gamma"] * y
        y = functional.layer_norm(z, (128,), b["norm2.weight"], b["norm2.bias"], 1e-6)
        y = functional.gelu(y @ b["mlp.fc1.weight"].T + b["mlp.fc1.bias"])
        z = z + b["ls2.gamma"] * (y @ b["mlp.fc2.weight"].T + b["mlp.fc2.bias"])
    return functional.layer_norm(z[0], (128,), s["norm.weight"], s["norm.bias"], 1e-6)


def test_the_class_token_is_that_of_the_published_equations() -> None:
    state, x = random_state(gated=False), torch.randn(2, 3, 70, 70, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        features = DinoV2.load(state)(x)
    torch.testing.assert_close(features, expected(state, x, state["pos_embed"]), rtol=1e-4, atol=1e-4)


def test_positions_are_resized_to_another_grid_with_the_published_offset() -> None:
    state, x = random_state(gated=False), torch.randn(2, 3, 42, 42, generator=torch.Generator().manual_seed(1))
    square = state["pos_embed"][:, 1:].transpose(1, 2).reshape(1, 128, 5, 5)
    resized = functional.interpolate(square, scale_factor=(3.1 / 5, 3.1 / 5), mode="bicubic").flatten(2)
    positions = torch.cat([state["pos_embed"][:, :1], resized.transpose(1, 2)], 1)
    with torch.no_grad():
        features = DinoV2.load(state)(x)
    torch.testing.assert_close(features, expected(state, x, positions), rtol=1e-4, atol=1e-4)


def test_the_gated_mlp_of_vit_g_is_recognised_by_its_weights() -> None:
    state = random_state(gated=True)
    net = DinoV2.load(state)
    x = torch.randn(2, 5, 128, generator=torch.Generator().manual_seed(1))
    mlp = net.blocks[0].mlp
    w = {name.removeprefix("blocks.0.mlp."): weight for name, weight in state.items() if "blocks.0.mlp" in name}
    first, second = (x @ w["w12.weight"].T + w["w12.bias"]).split(96, dim=2)
    gated = (functional.silu(first) * second) @ w["w3.weight"].T + w["w3.bias"]
    with torch.no_grad():
        torch.testing.assert_close(mlp(x), gated)


def test_weights_with_registers_are_refused() -> None:
    state = random_state(gated=False) | {"register_tokens": torch.zeros(1, 4, 128)}
    with pytest.raises(RuntimeError, match="register_tokens"):
        DinoV2.load(state)
