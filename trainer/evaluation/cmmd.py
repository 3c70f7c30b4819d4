"""CMMD (Jayasumana et al. 2024, arXiv:2401.09603): the kernel distance of CLIP features to the reference's."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

SIGMA = 10.0
SCALE = 1000.0
_ROWS = 1000  # of a kernel matrix that are held at a time: 80 MB of them beside 10,000 columns


def mean_kernel(x_ND: Tensor, y_MD: Tensor) -> float:
    """Return the mean of exp(-|x - y|^2 / (2 sigma^2)) over all pairs, of features of length 1.

    In float64: all kernels lie within 2 % of 1, and CMMD is a difference of their means. The authors use float32.
    """
    x, y = normalize(x_ND.double(), dim=1), normalize(y_MD.double(), dim=1)
    total = 0.0
    for part in torch.split(x, _ROWS):
        total += float(((part @ y.T - 1) / SIGMA**2).exp().sum())
    return total / (len(x) * len(y))


def cmmd(samples: float, reference: float, between: float) -> float:
    """Return the distance from the mean kernels within each of the two and between them (equation 4, times 1,000).

    The diagonal is among the pairs, as in the authors' code: the estimate is biased and never below 0.
    """
    return SCALE * (samples + reference - 2 * between)
