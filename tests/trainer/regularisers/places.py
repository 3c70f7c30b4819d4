"""A frozen encoder that needs no training: a fixed convolution."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import conv2d


class Places:
    """Six features of every 2 x 2 pixels of an image, whatever its channels."""

    width = 6

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Return the features [M, 6, H / 2, W / 2]."""
        angles = torch.arange(4 * self.width, device=images.device).to(images.dtype)
        return conv2d(images.mean(1, keepdim=True), angles.sin().view(self.width, 1, 2, 2), stride=2)
