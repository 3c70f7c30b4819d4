"""What an aligned block is to predict: the features of the data set's own extractor, a place each."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import gelu

from trainer.evaluation.domain_extractor import DIM, DomainNet


class DomainTargets:
    """The domain extractor's features before its last convolution, which leaves no places.

    A metric that looks through the same extractor (`eval.extractor: domain`) favours what was aligned with it.
    """

    width = DIM

    def __init__(self, net: DomainNet) -> None:
        self._net = net

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Return the features [M, F, h, w] of images [M, C, H, W] as they are trained on."""
        return gelu(self._net.second(gelu(self._net.first(images))))
