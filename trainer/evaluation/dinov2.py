"""DINOv2's vision transformer (Oquab et al. 2023), sized by its weights; torch-fidelity can only download it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional

HEAD = 64  # width of an attention head in every published size


class DinoV2(nn.Module):
    """ViT-S, B, L or g with 14-pixel patches and without registers; module names are those of Meta's state dict."""

    def __init__(self, width: int, depth: int, patch: int, positions: int, hidden: int, gated: bool) -> None:
        super().__init__()
        self.patch = patch
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.mask_token = nn.Parameter(torch.zeros(1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, positions, width))
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, width, patch, patch)})
        self.blocks = nn.ModuleList([Block(width, hidden, gated) for _ in range(depth)])
        self.norm = nn.LayerNorm(width, eps=1e-6)

    @classmethod
    def load(cls, state: Mapping[str, Tensor]) -> Self:
        """Build the network that a state dict belongs to; raise KeyError or RuntimeError if it is another's."""
        width, _, patch, _ = state["patch_embed.proj.weight"].shape
        depth = sum(name.endswith(".norm1.weight") for name in state)
        gated = "blocks.0.mlp.w3.weight" in state
        hidden = state["blocks.0.mlp.w3.weight" if gated else "blocks.0.mlp.fc2.weight"].shape[1]
        net = cls(width, depth, patch, state["pos_embed"].shape[1], hidden, gated)
        net.load_state_dict(dict(state))
        return net

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised class token [B, D] of normalised images [B, 3, H, W]."""
        features: Tensor = self.norm(self._tokens(x)[0][:, 0])
        return features

    def places(self, x: Tensor) -> Tensor:
        """Return the normalised patch tokens [B, D, h, w] of normalised images [B, 3, H, W]."""
        z, (height, width) = self._tokens(x)
        features: Tensor = self.norm(z[:, 1:])
        return features.mT.reshape(len(x), -1, height, width)

    def _tokens(self, x: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Return the last block's tokens [B, 1 + h w, D], the class token first, and their grid (h, w)."""
        tokens = self.patch_embed["proj"](x)
        grid = tokens.shape[-2], tokens.shape[-1]
        z = torch.cat([self.cls_token.expand(len(x), -1, -1), tokens.flatten(2).mT], dim=1) + self._positions(grid)
        for block in self.blocks:
            z = block(z)
        return z, grid

    def _positions(self, grid: tuple[int, int]) -> Tensor:
        side = round((self.pos_embed.shape[1] - 1) ** 0.5)
        if grid == (side, side):
            return self.pos_embed
        square = self.pos_embed[:, 1:].reshape(1, side, side, -1).permute(0, 3, 1, 2)
        # The published models were evaluated with this offset of 0.1, so other ways of resizing change features.
        scale = ((grid[0] + 0.1) / side, (grid[1] + 0.1) / side)
        resized = functional.interpolate(square, scale_factor=scale, mode="bicubic")
        return torch.cat([self.pos_embed[:, :1], resized.flatten(2).mT], dim=1)


class Block(nn.Module):
    """Pre-norm attention and MLP, each scaled per channel."""

    def __init__(self, width: int, hidden: int, gated: bool) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width)
        self.ls1 = Scale(width)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = GatedMLP(width, hidden) if gated else MLP(width, hidden)
        self.ls2 = Scale(width)

    def forward(self, x: Tensor) -> Tensor:
        """Return tokens [B, T, D] after the block."""
        x = x + self.ls1(self.attn(self.norm1(x)))
        y: Tensor = x + self.ls2(self.mlp(self.norm2(x)))
        return y


class Attention(nn.Module):
    """Self-attention with heads of 64."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return attended tokens [B, T, D]."""
        q, k, v = self.qkv(x).reshape(len(x), x.shape[1], 3, -1, HEAD).permute(2, 0, 3, 1, 4)
        y: Tensor = self.proj(functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return y


class MLP(nn.Module):
    """Two layers with GELU."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return tokens [B, T, D]."""
        y: Tensor = self.fc2(functional.gelu(self.fc1(x)))
        return y


class GatedMLP(nn.Module):
    """SwiGLU, used by ViT-g."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.w12 = nn.Linear(width, 2 * hidden)
        self.w3 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return tokens [B, T, D]."""
        gate, value = self.w12(x).chunk(2, dim=-1)
        y: Tensor = self.w3(functional.silu(gate) * value)
        return y


class Scale(nn.Module):
    """A learnt factor a channel (LayerScale)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """Return x times the factors."""
        return x * self.gamma
