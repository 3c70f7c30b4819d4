"""EDM (Karras et al. 2022, arXiv:2206.00364): a preconditioned denoiser, trained at log-normal noise levels.

An image is noised as x = data + sigma noise. The network F sees c_in x and c_noise = ln(sigma) / 4 as its time, and the
denoised image is D(x, sigma) = c_skip x + c_out F (equation 7, table 1). Stochastic sampling (S_churn) is left out.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import NamedTuple, assert_never

from torch import Tensor

from trainer.backbones.protocol import Conditioning, Network
from trainer.objectives.classifier_free_guidance import guided
from trainer.objectives.ode_solver import solve, step_count
from trainer.objectives.paths import normal_quantile
from trainer.objectives.protocol import Learning
from trainer.recipe import EdmRecipe, EvalRecipe
from trainer.rng.draws import Draw
from trainer.rng.step_noise import StepNoise

# Of sampling (table 1).
SIGMA_MAX, SIGMA_MIN, RHO = 80.0, 0.002, 7.0


class Preconditioning(NamedTuple):
    """The factors of D(x) = skip x + out F(into x) at one sigma."""

    skip: float
    out: float
    into: float


class _Noised(NamedTuple):
    # The network's inputs, and what F is to predict, shaped as the images.
    x: Tensor
    condition: Conditioning
    target: Tensor


class Edm:
    """Predicts F, whose target (data - c_skip x) / c_out has variance 1 if that of the data is sigma_data squared."""

    draws = MappingProxyType({"noise": Draw("normal", "pixel"), "time": Draw("uniform", "sample")})
    recorded = ("train_loss",)

    def __init__(self, recipe: EdmRecipe) -> None:
        self._recipe = recipe

    def loss(
        self, network: Network, images: Tensor, labels: Tensor, draws: Mapping[str, Tensor], taps: Collection[int]
    ) -> Learning:
        """Return the mean squared error of the denoised images, each weighted by 1 / c_out^2: the error of F."""
        noised = self._noised(images, labels, draws)
        output = network(noised.x, noised.condition, taps)
        loss = (output.prediction - noised.target).square().mean((1, 2, 3, 4))
        return Learning(loss, {"train_loss": loss.detach()}, output.taps)

    def seen(self, images: Tensor, labels: Tensor, draws: Mapping[str, Tensor]) -> tuple[Tensor, Conditioning]:
        """Return c_in x, and c_noise as the time."""
        noised = self._noised(images, labels, draws)
        return noised.x, noised.condition

    def held_out(self, network: Network, images: Tensor, labels: Tensor, draws: Mapping[str, Tensor]) -> Tensor:
        """Return the weighted squared error over pixels."""
        noised = self._noised(images, labels, draws)
        return (network(noised.x, noised.condition).prediction - noised.target).square().mean((2, 3, 4))

    def sample(
        self,
        network: Network,
        noise: Tensor,
        labels: Tensor,
        evaluation: EvalRecipe,
        more: StepNoise,  # noqa: ARG002 - nothing is random on the way
    ) -> Tensor:
        """Integrate dx/dsigma = (x - D) / sigma from SIGMA_MAX to SIGMA_MIN, and denoise what is left (algorithm 1).

        That is the last of the `nfe` evaluations: Euler's step to sigma 0, whichever the solver is.
        """
        predict = guided(network, labels, evaluation)

        def denoised(x: Tensor, sigma: float) -> Tensor:
            at = preconditioning(sigma, self._recipe.sigma_data)
            return at.skip * x + at.out * predict(at.into * x, math.log(sigma) / 4, progress=_progress(sigma))

        def slope(x: Tensor, sigma: float) -> Tensor:
            return (x - denoised(x, sigma)) / sigma

        before_last, solver = evaluation.nfe - 1, evaluation.solver
        match solver:
            case "euler" | "heun":
                levels = noise_levels(step_count(before_last, solver))
                return denoised(solve(slope, levels[0] * noise, before_last, solver, levels), levels[-1])
            case "euler_maruyama" | "ddim" | "ancestral":
                raise ValueError(f"solver {solver} cannot sample EDM")
            case _:
                assert_never(solver)

    def _noised(self, images: Tensor, labels: Tensor, draws: Mapping[str, Tensor]) -> _Noised:
        log_sigma = self._recipe.p_mean + self._recipe.p_std * normal_quantile(draws["time"])
        sigma, deviation, noise = log_sigma.exp()[..., None, None, None], self._recipe.sigma_data, draws["noise"]
        total = (sigma.square() + deviation**2).sqrt()  # the deviation of x
        # (data - c_skip x) / c_out without the difference: at a small sigma both are nearly the same.
        target = (sigma * images - deviation**2 * noise) / (deviation * total)
        return _Noised((images + sigma * noise) / total, Conditioning(log_sigma / 4, labels), target)


def preconditioning(sigma: float, sigma_data: float) -> Preconditioning:
    """Return the factors of table 1."""
    total = math.hypot(sigma, sigma_data)
    return Preconditioning((sigma_data / total) ** 2, sigma * sigma_data / total, 1 / total)


def noise_levels(steps: int) -> list[float]:
    """Return sigmas from SIGMA_MAX to SIGMA_MIN, one more than steps (equation 5); SIGMA_MAX alone without a step."""
    first, last = SIGMA_MAX ** (1 / RHO), SIGMA_MIN ** (1 / RHO)
    return [(first + i / max(steps, 1) * (last - first)) ** RHO for i in range(steps + 1)]


def _progress(sigma: float) -> float:
    """Return the share of the schedule's even steps that lie before a sigma."""
    first, here, last = (math.pow(level, 1 / RHO) for level in (SIGMA_MAX, sigma, SIGMA_MIN))
    return min(max((first - here) / (first - last), 0.0), 1.0)
