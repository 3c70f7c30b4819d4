"""Non-normal noise of paired differences: skewed, or with a share of runs that end badly."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class NoiseLaw(NamedTuple):
    """A law of noise with its long tail upwards: normal, a gamma law of this `skewness`, or a mixture.

    In the mixture a share of `bad_share` ends `bad_size` standard deviations (of the others) higher.
    """

    skewness: float = 0.0
    bad_share: float = 0.0
    bad_size: float = 0.0

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> npt.NDArray[np.float64]:
        """Draw noise of mean 0 and variance 1."""
        if self.skewness > 0:
            shape_parameter = 4 / self.skewness**2
            return np.asarray((rng.gamma(shape_parameter, size=shape) - shape_parameter) * self.skewness / 2)
        noise = rng.standard_normal(shape)
        if self.bad_share > 0:
            noise += self.bad_size * ((rng.random(shape) < self.bad_share) - self.bad_share)
            noise /= np.sqrt(1 + self.bad_size**2 * self.bad_share * (1 - self.bad_share))
        return noise


NORMAL = NoiseLaw()
