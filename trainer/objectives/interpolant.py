"""SiT (Ma et al. 2024, arXiv:2401.08740): velocity, noise or score regression on a path, sampled by its ODE or SDE."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import assert_never

from torch import Tensor

from trainer.backbones.protocol import Conditioning, Network
from trainer.objectives.classifier_free_guidance import Predict, guided
from trainer.objectives.ode_solver import solve, step_count
from trainer.objectives.paths import (
    PathSample,
    coefficients,
    interpolate,
    noise_share,
    time_of,
    training_times,
    velocity_of_noise,
)
from trainer.objectives.protocol import Learning
from trainer.objectives.sde_solver import solve_sde
from trainer.recipe import EvalRecipe, InterpolantRecipe
from trainer.rng.draws import Draw
from trainer.rng.step_noise import StepNoise

# The public SiT (transport.py) keeps this margin from both ends where it does not predict the velocity: at t = 0 the
# velocity derived from the noise is 0 / 0, and at t = 1 there is no noise to predict.
MARGIN = 1e-3


class Interpolant:
    """Predicts velocity, noise or score at x_t of a path; noise is at t = 0.

    For a score, the error is that of sigma times the score, which equals the noise's error (the public code's default,
    without a weight over time).
    """

    draws = MappingProxyType({"noise": Draw("normal", "pixel"), "time": Draw("uniform", "sample")})
    recorded = ("train_loss",)

    def __init__(self, recipe: InterpolantRecipe = InterpolantRecipe()) -> None:  # noqa: B008 - immutable
        self._recipe = recipe
        self._margin = 0.0 if recipe.predicts == "velocity" else MARGIN

    def loss(
        self, network: Network, images: Tensor, labels: Tensor, draws: Mapping[str, Tensor], taps: Collection[int]
    ) -> Learning:
        """Return the mean squared error over pixels and samples."""
        time = self._times(draws)
        sample = interpolate(images, draws["noise"], time, self._recipe.path)
        output = network(sample.x_t, Conditioning(time, labels), taps)
        loss = self._errors(output.prediction, sample, draws["noise"], time).square().mean((1, 2, 3, 4))
        return Learning(loss, {"train_loss": loss.detach()}, output.taps)

    def seen(self, images: Tensor, labels: Tensor, draws: Mapping[str, Tensor]) -> tuple[Tensor, Conditioning]:
        """Return x_t and its time."""
        time = self._times(draws)
        return interpolate(images, draws["noise"], time, self._recipe.path).x_t, Conditioning(time, labels)

    def held_out(self, network: Network, images: Tensor, labels: Tensor, draws: Mapping[str, Tensor]) -> Tensor:
        """Return the mean squared error over pixels."""
        time = self._times(draws)
        sample = interpolate(images, draws["noise"], time, self._recipe.path)
        prediction = network(sample.x_t, Conditioning(time, labels)).prediction
        return self._errors(prediction, sample, draws["noise"], time).square().mean((2, 3, 4))

    def sample(
        self, network: Network, noise: Tensor, labels: Tensor, evaluation: EvalRecipe, more: StepNoise
    ) -> Tensor:
        """Integrate the velocity from noise to data, or the SDE of the same marginals."""
        predict = guided(network, labels, evaluation)

        def velocity(x: Tensor, t: float) -> Tensor:
            return self._velocity(predict, x, t)

        nfe, solver = evaluation.nfe, evaluation.solver
        match solver:
            case "euler" | "heun":
                return solve(velocity, noise, nfe, solver, self._grid(step_count(nfe, solver)))
            case "euler_maruyama":
                return solve_sde(velocity, noise, nfe, self._recipe.path, more, self._margin)
            case "ddim" | "ancestral":
                raise ValueError(f"solver {solver} cannot sample an interpolant")
            case _:
                assert_never(solver)

    def _times(self, draws: Mapping[str, Tensor]) -> Tensor:
        recipe = self._recipe
        times = training_times(draws["time"], recipe.times, recipe.time_mean, recipe.time_std)
        return self._margin + (1 - 2 * self._margin) * times if self._margin else times

    def _errors(self, prediction: Tensor, sample: PathSample, noise: Tensor, time: Tensor) -> Tensor:
        match self._recipe.predicts:
            case "velocity":
                return prediction - sample.velocity
            case "noise":
                return prediction - noise
            case "score":
                return noise_share(time, self._recipe.path)[..., None, None, None] * prediction + noise
            case _:
                assert_never(self._recipe.predicts)

    def _velocity(self, predict: Predict, x: Tensor, t: float) -> Tensor:
        predicts, path = self._recipe.predicts, self._recipe.path
        match predicts:
            case "velocity":
                return predict(x, t)
            case "noise":
                return velocity_of_noise(predict(x, t), x, t, path)
            case "score":
                return velocity_of_noise(-coefficients(t, path).sigma * predict(x, t), x, t, path)
            case _:
                assert_never(predicts)

    def _grid(self, steps: int) -> list[float] | None:
        """Return an ODE's times: equal steps for a velocity, else even steps of log alpha / sigma between the margins.

        An error of the noise is 1 / t times as large in the velocity. In such steps, as in DPM-Solver (Lu et al. 2022,
        arXiv:2206.00927), an error weighs the same wherever it occurs; Euler is then DDIM (Song et al. 2021).
        """
        return times(steps, self._recipe) if self._margin else None


def times(steps: int, recipe: InterpolantRecipe) -> list[float]:
    """Return times from MARGIN to 1 - MARGIN, one more than steps, evenly spaced in the logarithm of alpha / sigma."""
    at = coefficients(MARGIN, recipe.path)
    first = math.log(at.alpha / at.sigma)
    return [time_of(first * (1 - 2 * i / steps), recipe.path) for i in range(steps + 1)]
