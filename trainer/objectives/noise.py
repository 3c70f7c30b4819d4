"""Noise prediction on the linear interpolant (SiT, Ma et al. 2024, arXiv:2401.08740), sampled by its ODE."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from types import MappingProxyType

from torch import Tensor

from trainer.backbones.protocol import Conditioning, Network
from trainer.objectives.classifier_free_guidance import guided
from trainer.objectives.interpolant import interpolate
from trainer.objectives.ode_solver import solve, step_count
from trainer.objectives.protocol import Learning
from trainer.recipe import EvalRecipe
from trainer.rng.draws import Draw

# The public SiT (transport.py) keeps so far from both ends: at t = 0 the velocity that follows from the noise is 0 / 0,
# and at t = 1 there is no noise to predict.
MARGIN = 1e-3


class Noise:
    """Predicts the noise in x_t = t data + (1 - t) noise; t is uniform between the margins."""

    draws = MappingProxyType({"noise": Draw("normal", "pixel"), "time": Draw("uniform", "sample")})
    recorded = ("train_loss",)

    def loss(
        self, network: Network, images: Tensor, labels: Tensor, draws: Mapping[str, Tensor], taps: Collection[int]
    ) -> Learning:
        """Return the mean squared error over pixels and samples."""
        x_t, given = self.seen(images, labels, draws)
        output = network(x_t, given, taps)
        loss = (output.prediction - draws["noise"]).square().mean((1, 2, 3, 4))
        return Learning(loss, {"train_loss": loss.detach()}, output.taps)

    def seen(self, images: Tensor, labels: Tensor, draws: Mapping[str, Tensor]) -> tuple[Tensor, Conditioning]:
        """Return x_t and its time."""
        time = MARGIN + (1 - 2 * MARGIN) * draws["time"]
        return interpolate(images, draws["noise"], time).x_t, Conditioning(time, labels)

    def held_out(self, network: Network, images: Tensor, labels: Tensor, draws: Mapping[str, Tensor]) -> Tensor:
        """Return the mean squared error over pixels."""
        x_t, given = self.seen(images, labels, draws)
        return (network(x_t, given).prediction - draws["noise"]).square().mean((2, 3, 4))

    def sample(self, network: Network, noise: Tensor, labels: Tensor, evaluation: EvalRecipe) -> Tensor:
        """Integrate the velocity data - noise = (x - noise) / t between the margins, in equal steps of log t / (1 - t).

        An error of the noise is 1 / t times as large in the velocity. In such steps, which DPM-Solver takes too (Lu et
        al. 2022, arXiv:2206.00927), it counts alike wherever it is made; Euler is then DDIM (Song et al. 2021).
        """
        predict = guided(network, labels, evaluation.cfg)

        def velocity(x: Tensor, t: float) -> Tensor:
            return (x - predict(x, t)) / t

        steps = step_count(evaluation.nfe, evaluation.solver)
        return solve(velocity, noise, evaluation.nfe, evaluation.solver, times(steps))


def times(steps: int) -> list[float]:
    """Return times from MARGIN to 1 - MARGIN, one more than steps, evenly spaced in the logarithm of t / (1 - t)."""
    first = math.log(MARGIN / (1 - MARGIN))
    return [1 / (1 + math.exp(-first * (1 - 2 * i / steps))) for i in range(steps + 1)]
