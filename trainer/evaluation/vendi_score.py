"""The Vendi score (Friedman & Dieng 2023, arXiv:2210.02410): how many different samples there are, in effect."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize


def vendi_score(features_ND: Tensor) -> float:
    """Return exp of the entropy of the eigenvalues of K / N, where K_ij is the cosine of two samples' features.

    From 1, where all point in one direction, to the lesser of N and D, whatever the number of samples. Of centred
    features it would be another figure; the authors take them as they are.

    >>> round(vendi_score(torch.eye(3)), 6), round(vendi_score(torch.ones(5, 2)), 6)
    (3.0, 1.0)
    """
    unit = normalize(features_ND.double(), dim=1) / len(features_ND) ** 0.5
    # X X' and X' X have the same eigenvalues but for zeros, and the smaller one is cheaper.
    product = unit.T @ unit if unit.shape[1] < len(unit) else unit @ unit.T
    return float(torch.special.entr(torch.linalg.eigvalsh(product).clamp_min(0)).sum().exp())
