"""Velocity regression on the linear interpolant, sampled by an ODE solver: SiT (Ma et al. 2024, arXiv:2401.08740)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType

from torch import Tensor

from trainer.backbones.protocol import Conditioning, Network
from trainer.objectives.classifier_free_guidance import guided
from trainer.objectives.interpolant import interpolate
from trainer.objectives.ode_solver import solve
from trainer.objectives.protocol import Learning
from trainer.recipe import EvalRecipe
from trainer.rng.draws import Draw


class Velocity:
    """Predicts data - noise at x_t = t data + (1 - t) noise; noise is at t = 0, and t is uniform."""

    draws = MappingProxyType({"noise": Draw("normal", "pixel"), "time": Draw("uniform", "sample")})
    recorded = ("train_loss",)

    def loss(
        self, network: Network, images: Tensor, labels: Tensor, draws: Mapping[str, Tensor], taps: Collection[int]
    ) -> Learning:
        """Return the mean squared error over pixels and samples."""
        x_t, target = interpolate(images, draws["noise"], draws["time"])
        output = network(x_t, Conditioning(draws["time"], labels), taps)
        loss = (output.prediction - target).square().mean((1, 2, 3, 4))
        return Learning(loss, {"train_loss": loss.detach()}, output.taps)

    def seen(self, images: Tensor, labels: Tensor, draws: Mapping[str, Tensor]) -> tuple[Tensor, Conditioning]:
        """Return x_t and its time."""
        return interpolate(images, draws["noise"], draws["time"]).x_t, Conditioning(draws["time"], labels)

    def held_out(self, network: Network, images: Tensor, labels: Tensor, draws: Mapping[str, Tensor]) -> Tensor:
        """Return the mean squared error over pixels."""
        x_t, target = interpolate(images, draws["noise"], draws["time"])
        predicted = network(x_t, Conditioning(draws["time"], labels)).prediction
        return (predicted - target).square().mean((2, 3, 4))

    def sample(self, network: Network, noise: Tensor, labels: Tensor, evaluation: EvalRecipe) -> Tensor:
        """Integrate the velocity from t = 0 to 1."""
        return solve(guided(network, labels, evaluation.cfg), noise, evaluation.nfe, evaluation.solver)
