"""Gaussian processes over the knobs of a study, averaged over kernels by their marginal likelihood.

Shapes: P points, the first C of which were measured; K knobs; T terms of a kernel; L length scales; H kernels; N
posterior samples.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.gaussian_process.kernels import Matern

Array = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

# In units of the range that the study covers: from independent levels to nearly a straight line.
LENGTHS = (0.08, 0.25, 0.6, 1.5)
FLAT = 100.0  # the prior variance of the mean level, in units of the data's variance: any level is as likely as another
LEAST_NOISE = 1e-6  # of the data's variance, so that matrices can be inverted
# This chance and the numbers of draws below are chosen by eye; `python -m tests.simulation.surface` measures what the
# surface makes of them.
OFF = 0.35  # the prior chance that a term does nothing
# Standard deviations beyond which a cell is an outlier: effects have heavier tails than a normal's.
OUTLYING = 2.5
DRAWN, CHAINS, MOVES, EACH = 192, 48, 10, 40  # kernels from the prior, kernels kept, moves, samples a kernel
MOVED = 0.25  # the share of a kernel's parts that one move draws anew
EQUAL = 1e-8


class Knobs(NamedTuple):
    """Where points lie: `place_PK` on every knob; `ordered_K` tells a scale from mere names; `crossed` are pairs.

    An ordered knob runs from 0 to 1 over what was measured; another has one number a level.
    """

    place_PK: Array
    ordered_K: tuple[bool, ...]
    crossed: tuple[tuple[int, int], ...] = ()


class _Kernels(NamedTuple):
    # H kernels: the variance of each term and, for each knob, which length scale.
    variance_HT: Array
    length_HK: Whole


class _Terms(NamedTuple):
    # Correlations of points: by every knob and length scale, and of a point with itself.
    single_KLPP: Array
    same_PP: Array
    products: tuple[tuple[int, ...], ...]
    flat: float

    @property
    def size(self) -> int:
        return len(self.products) + 1

    def with_outliers(self, size_C: Array) -> _Terms:
        """Scale up some cells' own terms, `size_C` being the factors of their standard deviations."""
        size_P = np.ones(len(self.same_PP))
        for cell in np.flatnonzero(size_C > 1):
            size_P[self.same_PP[cell] > 0] = size_C[cell]
        return self._replace(same_PP=self.same_PP * np.outer(size_P, size_P))

    def covariance(self, kernels: _Kernels, rows: slice, columns: slice) -> Array:
        """Return the H prior covariances of some points with others."""
        single_KLPP, knobs = self.single_KLPP[:, :, rows, columns], np.arange(len(self.single_KLPP))
        chosen_HKPP = single_KLPP[knobs, kernels.length_HK]
        total = self.flat + kernels.variance_HT[:, -1, None, None] * self.same_PP[rows, columns]
        for term, factors in enumerate(self.products):
            product = chosen_HKPP[:, factors[0]]
            for knob in factors[1:]:
                product = product * chosen_HKPP[:, knob]
            total = total + kernels.variance_HT[:, term, None, None] * product
        return np.asarray(total)


def posterior(z_C: Array, noise_CC: Array, knobs: Knobs, rng: np.random.Generator) -> Array:
    """Draw the level of every point from the posterior, given measurements at the first C of them, [N, P].

    `z_C` has the noise `noise_CC`. A kernel is a sum of one term a knob, one a crossed pair, one of all knobs at once
    and one a cell; the prior of each term's size is log-uniform beside a chance that it is not there. Kernels are drawn
    from that prior, weighted by their marginal likelihood, and moved by a few Metropolis steps (resample-move).
    """
    center, seen = float(z_C.mean()), float(z_C.var() + np.diagonal(noise_CC).mean())
    z_C, noise_CC = z_C - center, noise_CC + LEAST_NOISE * seen * np.eye(len(z_C))
    terms = _terms(knobs, FLAT * seen)
    kernels = _weighted_kernels(z_C, noise_CC, terms, rng)
    residual_C = _standardised_residuals(z_C, noise_CC, terms, kernels)
    if (residual_C > OUTLYING).any():
        terms = terms.with_outliers(np.where(residual_C > OUTLYING, residual_C, 1.0))
        kernels = _weighted_kernels(z_C, noise_CC, terms, rng)
    return center + _samples(z_C, noise_CC, terms, kernels, rng)


def _terms(knobs: Knobs, flat: float) -> _Terms:
    place_PK, count = knobs.place_PK, len(knobs.ordered_K)
    single = [_correlations(place_PK[:, [k]], ordered) for k, ordered in enumerate(knobs.ordered_K)]
    same_PP = (np.abs(place_PK[:, None] - place_PK[None]).max(axis=-1) < EQUAL).astype(float)
    everything = tuple(range(count))
    pairs = [pair for pair in knobs.crossed if pair != everything]
    joint = [everything] if count > 1 else []
    return _Terms(np.stack(single), same_PP, tuple((k,) for k in everything) + tuple(pairs) + tuple(joint), flat)


def _correlations(place_P1: Array, ordered: bool) -> Array:
    if not ordered:
        return np.repeat((place_P1 == place_P1.T).astype(float)[None], len(LENGTHS), axis=0)
    # A kernel whose functions are once differentiable: a knob's effect is rarely smoother.
    return np.stack([Matern(length, nu=1.5)(place_P1) for length in LENGTHS])


def _prior(count: int, terms: _Terms, scale: tuple[float, float], rng: np.random.Generator) -> _Kernels:
    low, high = np.log(scale[0]), np.log(scale[1])
    sd_HT = np.exp(rng.uniform(low, high, (count, terms.size)))
    # A cell's own term is always there, so that one good cell among similar ones is not smoothed away.
    sd_HT[:, :-1][rng.random((count, terms.size - 1)) < OFF] = 0.0
    return _Kernels(sd_HT**2, rng.integers(len(LENGTHS), size=(count, len(terms.single_KLPP))))


def _weighted_kernels(z_C: Array, noise_CC: Array, terms: _Terms, rng: np.random.Generator) -> _Kernels:
    typical = float(np.sqrt(np.diagonal(noise_CC).mean()))
    scale = (0.1 * typical, 2 * float(z_C.std()) + 2 * typical)
    drawn = _prior(DRAWN, terms, scale, rng)
    likelihood_H = _log_likelihood(z_C, noise_CC, terms, drawn)
    weight_H = np.exp(likelihood_H - likelihood_H.max())
    chosen = rng.choice(DRAWN, CHAINS, p=weight_H / weight_H.sum())
    now, likelihood_H = _Kernels(drawn.variance_HT[chosen], drawn.length_HK[chosen]), likelihood_H[chosen]
    for _ in range(MOVES):
        # The proposal redraws parts from the prior, so the likelihood ratio alone decides.
        fresh = _prior(CHAINS, terms, scale, rng)
        moved = _mixed(now, fresh, *(rng.random(part.shape) < MOVED for part in now))
        likely_H = _log_likelihood(z_C, noise_CC, terms, moved)
        taken = np.log(rng.random(CHAINS)) < likely_H - likelihood_H
        now = _mixed(now, moved, taken[:, None], taken[:, None])
        likelihood_H = np.where(taken, likely_H, likelihood_H)
    return now


def _mixed(old: _Kernels, new: _Kernels, variance_HT: Mask, length_HK: Mask) -> _Kernels:
    return _Kernels(
        np.where(variance_HT, new.variance_HT, old.variance_HT), np.where(length_HK, new.length_HK, old.length_HK)
    )


def _standardised_residuals(z_C: Array, noise_CC: Array, terms: _Terms, kernels: _Kernels) -> Array:
    """Return how many standard deviations each cell is from what all others predict, the median over kernels, [C].

    Leave-one-out in closed form (Rasmussen & Williams 2006, eq. 5.12).
    """
    measured = slice(len(z_C))
    inverse_HCC = np.linalg.inv(terms.covariance(kernels, measured, measured) + noise_CC)
    return np.asarray(
        np.median(np.abs(inverse_HCC @ z_C) / np.sqrt(np.diagonal(inverse_HCC, axis1=1, axis2=2)), axis=0)
    )


def _log_likelihood(z_C: Array, noise_CC: Array, terms: _Terms, kernels: _Kernels) -> Array:
    """Return every kernel's log marginal likelihood, but for a constant, [H] (Rasmussen & Williams 2006, eq. 2.30)."""
    measured = slice(len(z_C))
    root_HCC = np.linalg.cholesky(terms.covariance(kernels, measured, measured) + noise_CC)
    white_HC = np.linalg.solve(root_HCC, np.broadcast_to(z_C[:, None], (len(root_HCC), len(z_C), 1)))[..., 0]
    return np.asarray(-0.5 * (white_HC**2).sum(axis=1) - np.log(np.diagonal(root_HCC, axis1=1, axis2=2)).sum(axis=1))


def _samples(z_C: Array, noise_CC: Array, terms: _Terms, kernels: _Kernels, rng: np.random.Generator) -> Array:
    """Draw from each kernel's posterior (Rasmussen & Williams 2006, eq. 2.23 and 2.24), without measurement noise."""
    measured, everywhere = slice(len(z_C)), slice(len(terms.same_PP))
    prior_HPP = terms.covariance(kernels, everywhere, everywhere)
    across_HPC = prior_HPP[:, :, measured]
    gain_HPC = np.swapaxes(np.linalg.solve(across_HPC[:, measured] + noise_CC, np.swapaxes(across_HPC, 1, 2)), 1, 2)
    mean_HP = gain_HPC @ z_C
    left_HPP = prior_HPP - gain_HPC @ np.swapaxes(across_HPC, 1, 2)
    size, root = np.linalg.eigh((left_HPP + np.swapaxes(left_HPP, 1, 2)) / 2)
    normal_HEP = rng.standard_normal((len(mean_HP), EACH, mean_HP.shape[1]))
    away_HEP = (normal_HEP * np.sqrt(np.clip(size, 0, None))[:, None]) @ np.swapaxes(root, 1, 2)
    return np.asarray((mean_HP[:, None] + away_HEP).reshape(-1, mean_HP.shape[1]))
