"""Frechet distance between Gaussians fitted to features, from moments that are summed as features stream by.

Agrees with torch-fidelity's to 1e-6 relative. With N <= D samples the covariance is singular: the distance is
still a number, but a poor estimate; take N well above D, and never compare across N (Chong & Forsyth 2020).
"""

from __future__ import annotations

import torch
from torch import Tensor


class Moments:
    """Mean and covariance of a stream of features, in float64 on the features' device."""

    def __init__(self, dim: int, device: torch.device | str) -> None:
        self.count = 0
        self.mean = torch.zeros(dim, dtype=torch.float64, device=device)
        self._scatter = torch.zeros(dim, dim, dtype=torch.float64, device=device)

    def add(self, features_BD: Tensor) -> None:
        """Add a batch of features [B, D]."""
        features = features_BD.double()
        if len(features):
            mean = features.mean(0)
            centred = features - mean
            self._join(len(features), mean, centred.T @ centred)

    def _join(self, count: int, mean: Tensor, scatter: Tensor) -> None:
        # Chan, Golub & LeVeque 1979: no difference of large sums, so features far from 0 cost no digits.
        total = self.count + count
        gap = mean - self.mean
        self._scatter += scatter + torch.outer(gap, gap) * (self.count * count / total)
        self.mean += gap * (count / total)
        self.count = total

    @property
    def covariance(self) -> Tensor:
        """The unbiased covariance [D, D], as np.cov gives it; needs at least two features."""
        assert self.count > 1
        return self._scatter / (self.count - 1)


class Reference:
    """The Gaussian that samples are compared with; keeps the symmetric root of its covariance."""

    def __init__(self, mean: Tensor, covariance: Tensor) -> None:
        self.mean, self.covariance = mean.double(), covariance.double()
        values, vectors = torch.linalg.eigh(self.covariance)
        self._root = (vectors * values.clamp_min(0).sqrt()) @ vectors.T

    def frechet_distance(self, moments: Moments) -> float:
        """Squared Frechet distance |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) (Heusel et al. 2017, eq. 6)."""
        mean, covariance = moments.mean.to(self.mean), moments.covariance.to(self.mean)
        # C1 C2 has the eigenvalues of R C1 R with R R = C2, which is symmetric: seven times faster at D = 2048.
        values = torch.linalg.eigvalsh(self._root @ covariance @ self._root)
        traces = covariance.trace() + self.covariance.trace() - 2 * values.clamp_min(0).sqrt().sum()
        # Rounding can leave two equal Gaussians a hair below 0.
        return float(((mean - self.mean).square().sum() + traces).clamp_min(0))
