"""The distance of samples to the nearest training images: FID rewards copying, this reveals it."""

from __future__ import annotations

import torch
from torch import Tensor

from trainer.data.images import Images

_NUMBERS = 16_000_000  # distances, or pixels of training images, held at a time: 64 MB each


def nearest_distances(queries_NCHW: Tensor, images_MCHW: Images) -> Tensor:
    """Return the L2 distance [N] of each query to its nearest image, over all pixels and exact for copies."""
    queries = queries_NCHW.flatten(1)
    best = torch.full((len(queries),), torch.inf, device=queries.device)
    index = torch.zeros(len(queries), dtype=torch.long, device=queries.device)
    step = max(1, _NUMBERS // max(queries.shape))
    for start in range(0, len(images_MCHW), step):
        distances, rows = torch.cdist(queries, images_MCHW[start : start + step].flatten(1).to(queries)).min(1)
        index = torch.where(distances < best, rows + start, index)
        best = torch.minimum(best, distances)
    # cdist squares and subtracts, which leaves copies at 1e-3 instead of 0; so the nearest one is measured again.
    winners = images_MCHW[index.to(images_MCHW.device)].flatten(1).to(queries)
    distances_N: Tensor = torch.linalg.vector_norm(queries - winners, dim=1)
    return distances_N
