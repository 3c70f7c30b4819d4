"""The linear interpolant between noise (t = 0) and data (t = 1), as in SiT (Ma et al. 2024, arXiv:2401.08740)."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class PathSample(NamedTuple):
    """A point of the path and the velocity there, both shaped as the data."""

    x_t: Tensor
    velocity: Tensor


def interpolate(data: Tensor, noise: Tensor, t: Tensor) -> PathSample:
    """Return x_t = t data + (1 - t) noise and its velocity data - noise.

    data, noise: [..., C, H, W]; t: [...] in [0, 1], one time an image.
    """
    time = t[..., None, None, None]
    velocity = data - noise
    return PathSample(noise + time * velocity, velocity)
