"""Attention of many lanes at once, folded into the batch, within what the fused kernels can be launched with."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

# CUDA's kernels have the batch as a grid's second or third axis (pytorch/pytorch#146704).
LARGEST_BATCH = 2**16 - 1


def attention(q_BHND: Tensor, k_BHND: Tensor, v_BHND: Tensor, largest: int = LARGEST_BATCH) -> Tensor:
    """Return softmax(q k^T / sqrt(D)) v, a part of the batch at a time where it is larger than `largest`."""
    if len(q_BHND) <= largest:
        return F.scaled_dot_product_attention(q_BHND, k_BHND, v_BHND)
    parts = zip(*(torch.split(each, largest) for each in (q_BHND, k_BHND, v_BHND)), strict=True)
    return torch.cat([F.scaled_dot_product_attention(*part) for part in parts])
