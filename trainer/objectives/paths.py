"""Paths between noise (t = 0) and data (t = 1), as in SiT (Ma et al. 2024, arXiv:2401.08740, section 2 and table 1)."""

from __future__ import annotations

import math
from typing import NamedTuple, assert_never

import torch
from torch import Tensor

from trainer.recipe.objective import Path, Times


class PathSample(NamedTuple):
    """A point of the path and the velocity there, both shaped as the data."""

    x_t: Tensor
    velocity: Tensor


class Coefficients(NamedTuple):
    """The path x_t = alpha data + sigma noise at one time, and the slopes of both."""

    alpha: float
    sigma: float
    alpha_slope: float
    sigma_slope: float


def interpolate(data: Tensor, noise: Tensor, t: Tensor, path: Path = "linear") -> PathSample:
    """Return x_t = alpha(t) data + sigma(t) noise and its velocity, the derivative with respect to t.

    data, noise: [..., C, H, W]; t: [...] in [0, 1], one time an image. Linear: x_t = t data + (1 - t) noise.
    """
    time = t[..., None, None, None]
    match path:
        case "linear":
            velocity = data - noise
            return PathSample(noise + time * velocity, velocity)
        case "gvp":
            angle = time * (math.pi / 2)
            sine, cosine = angle.sin(), angle.cos()
            return PathSample(sine * data + cosine * noise, (math.pi / 2) * (cosine * data - sine * noise))
        case _:
            assert_never(path)


def noise_share(t: Tensor, path: Path) -> Tensor:
    """Return sigma(t)."""
    match path:
        case "linear":
            return 1 - t
        case "gvp":
            return (t * (math.pi / 2)).cos()
        case _:
            assert_never(path)


def coefficients(t: float, path: Path) -> Coefficients:
    """Return the path's coefficients at a time in [0, 1]."""
    match path:
        case "linear":
            return Coefficients(t, 1 - t, 1, -1)
        case "gvp":
            half = math.pi / 2
            sine, cosine = math.sin(half * t), math.cos(half * t)
            return Coefficients(sine, cosine, half * cosine, -half * sine)
        case _:
            assert_never(path)


def time_of(log_ratio: float, path: Path) -> float:
    """Return the time at which log(alpha / sigma) is this."""
    match path:
        case "linear":
            return 1 / (1 + math.exp(-log_ratio))
        case "gvp":
            return math.atan(math.exp(log_ratio)) / (math.pi / 2)
        case _:
            assert_never(path)


def velocity_of_noise(noise: Tensor, x_t: Tensor, t: float, path: Path) -> Tensor:
    """Return the velocity at x_t where this is the expected noise; t > 0."""
    if path == "linear":
        return (x_t - noise) / t
    at = coefficients(t, path)
    ratio = at.alpha_slope / at.alpha
    return ratio * x_t + (at.sigma_slope - ratio * at.sigma) * noise


def noise_of_velocity(velocity: Tensor, x_t: Tensor, t: float, path: Path) -> Tensor:
    """Return the expected noise at x_t where this is the velocity; t < 1."""
    # alpha' sigma - alpha sigma' is 1 on the linear path and pi / 2 on GVP's: never 0.
    at = coefficients(t, path)
    return (at.alpha_slope * x_t - at.alpha * velocity) / (at.alpha_slope * at.sigma - at.alpha * at.sigma_slope)


def training_times(uniform: Tensor, times: Times, mean: float, std: float) -> Tensor:
    """Return times from uniform numbers in [0, 1): themselves, or by their quantiles the sigmoid of normal numbers."""
    match times:
        case "uniform":
            return uniform
        case "logit_normal":
            return (mean + std * normal_quantile(uniform)).sigmoid()
        case _:
            assert_never(times)


def normal_quantile(uniform: Tensor) -> Tensor:
    """Return normal numbers of mean 0 and deviation 1 from uniform numbers in [0, 1), by their quantiles."""
    # Away from both ends, where the quantile is infinite.
    quantile: Tensor = torch.special.ndtri(uniform.clamp(2**-25, 1 - 2**-24))
    return quantile
