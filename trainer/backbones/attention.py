"""Attention of many lanes at once: lanes are folded into the batch, so it runs as for one model.

Shapes: K lanes, B batch, N tokens, H heads, S = K B sequences
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

SMALL = 64  # tokens up to which plain softmax beats the fused kernel on a CPU
# CUDA's kernels have the batch as a grid's second or third axis (pytorch/pytorch#146704).
LARGEST_BATCH = 2**16 - 1


def attention(qkv_KBNE: Tensor, heads: int, forward_mode: bool = False) -> Tensor:
    """Return softmax(q k^T / sqrt(D)) v, [K, B, N, H D], of queries, keys and values side by side in E = 3 H D.

    With `forward_mode` it can be differentiated forward, which PyTorch's fused kernels cannot.
    """
    lanes, batch, tokens, extent = qkv_KBNE.shape
    qkv_3SHND = qkv_KBNE.view(lanes * batch, tokens, 3, heads, -1).permute(2, 0, 3, 1, 4)
    if forward_mode or (tokens <= SMALL and qkv_KBNE.device.type == "cpu"):
        mixed_SHND = _plain(qkv_3SHND)
    else:
        q, k, v = qkv_3SHND.unbind(0)
        mixed_SHND = fused(q, k, v)
    return mixed_SHND.transpose(1, 2).reshape(lanes, batch, tokens, extent // 3)


def _plain(qkv_3SHND: Tensor) -> Tensor:
    # Made contiguous once, since otherwise every product would copy its factors; a product applies the scale.
    q, k, v = qkv_3SHND.flatten(1, 2).unbind(0)
    scores = torch.baddbmm(q.new_zeros(1, 1, 1), q, k.mT, beta=0, alpha=q.shape[-1] ** -0.5)
    return torch.bmm(scores.softmax(-1), v).view(qkv_3SHND.shape[1:])


def fused(q_SHND: Tensor, k_SHND: Tensor, v_SHND: Tensor, largest: int = LARGEST_BATCH) -> Tensor:
    """Call PyTorch's fused kernel, in parts where there are more sequences than `largest`."""
    if len(q_SHND) <= largest:
        return F.scaled_dot_product_attention(q_SHND, k_SHND, v_SHND)
    parts = zip(*(torch.split(each, largest) for each in (q_SHND, k_SHND, v_SHND)), strict=True)
    return torch.cat([F.scaled_dot_product_attention(*part) for part in parts])
