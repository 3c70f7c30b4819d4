"""DiT (Peebles & Xie 2023, arXiv:2212.09748): noise prediction on DDPM's schedule, with a learned variance or without.

Times are a schedule's steps over their number, so that `train.time_scale` 1000 embeds step i of 1,000 as i, as the
public DiT does. The formulas are Nichol & Dhariwal's (2021, arXiv:2102.09672), as in its gaussian_diffusion.py.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import NamedTuple, assert_never

import numpy as np
import torch
from torch import Tensor

from trainer.backbones.protocol import Conditioning, Network
from trainer.objectives.classifier_free_guidance import guided
from trainer.objectives.diffusion_schedule import Schedule, schedule
from trainer.objectives.protocol import Learning
from trainer.recipe import DiffusionRecipe, EvalRecipe
from trainer.rng.draws import Draw
from trainer.rng.step_noise import StepNoise

PIXEL = 1 / 255  # half the distance of two values of a byte in [-1, 1]


class _Table(NamedTuple):
    # What is needed of the schedule: x = signal data + noise noise, and of a reverse step.
    signal: Tensor
    noise: Tensor
    of_data: Tensor
    of_x: Tensor
    least_log_variance: Tensor
    most_log_variance: Tensor
    weight: Tensor


class Diffusion:
    """Predicts the noise at a random step and, in further channels, where the variance lies between its bounds."""

    draws = MappingProxyType({"noise": Draw("normal", "pixel"), "time": Draw("uniform", "sample")})

    def __init__(self, recipe: DiffusionRecipe) -> None:
        self._recipe = recipe
        self._tables: dict[torch.device, _Table] = {}
        self.recorded = ("train_loss", "variance_loss") if recipe.learned_variance else ("train_loss",)

    def loss(
        self, network: Network, images: Tensor, labels: Tensor, draws: Mapping[str, Tensor], taps: Collection[int]
    ) -> Learning:
        """Return the mean squared error of the noise and, for a learned variance, the variational bound in bits.

        The bound trains the variance alone and has weight 1 ('train_loss' is without it). Where the recipe has a
        gamma the error has the weight min(SNR, gamma) / SNR, as min-SNR has for predicted noise (Hang et al. 2023,
        arXiv:2303.09556, section 3.4), and so has 'train_loss'.
        """
        step = self._steps(draws)
        x = self._noised(images, draws["noise"], step)
        output = network(x, Conditioning(step / self._recipe.steps, labels), taps)
        noise, variance = self._split(output.prediction)
        squared = (noise - draws["noise"]).square()
        if self._recipe.min_snr is not None:
            squared = squared * self._at(step, squared.dtype).weight
        error = squared.mean((1, 2, 3, 4))
        recorded = {"train_loss": error.detach()}
        if variance is None:
            return Learning(error, recorded, output.taps)
        bound = self._bits(images, x, noise.detach(), variance, step).mean(1)
        return Learning(error + bound, {**recorded, "variance_loss": bound.detach()}, output.taps)

    def seen(self, images: Tensor, labels: Tensor, draws: Mapping[str, Tensor]) -> tuple[Tensor, Conditioning]:
        """Return the noised images and their times."""
        step = self._steps(draws)
        return self._noised(images, draws["noise"], step), Conditioning(step / self._recipe.steps, labels)

    def held_out(self, network: Network, images: Tensor, labels: Tensor, draws: Mapping[str, Tensor]) -> Tensor:
        """Return the mean squared error of the noise over pixels."""
        x, condition = self.seen(images, labels, draws)
        noise, _ = self._split(network(x, condition).prediction)
        return (noise - draws["noise"]).square().mean((2, 3, 4))

    def sample(
        self, network: Network, noise: Tensor, labels: Tensor, evaluation: EvalRecipe, more: StepNoise
    ) -> Tensor:
        """Run the reverse process in `nfe` steps: with the learned (or greatest) variance, or without any (DDIM)."""
        predict, solver = guided(network, labels, evaluation), evaluation.solver
        taken = schedule(self._recipe.steps, evaluation.nfe, self._recipe.schedule)
        x = noise
        for i in reversed(range(evaluation.nfe)):
            time = float(taken.steps[i]) / self._recipe.steps
            predicted, variance = self._split(predict(x, time, progress=1 - time))
            signal, at_noise = math.sqrt(taken.alpha_bar[i]), math.sqrt(1 - taken.alpha_bar[i])
            data = (x - at_noise * predicted) / signal
            if self._recipe.clip:
                data = data.clamp(-1, 1)
                predicted = (x - signal * data) / at_noise
            match solver:
                case "ddim":
                    before = taken.alpha_bar_before[i]
                    x = math.sqrt(before) * data + math.sqrt(1 - before) * predicted
                case "ancestral":
                    x = float(taken.of_data[i]) * data + float(taken.of_x[i]) * x
                    if i > 0:
                        x = x + _deviation(taken, i, variance) * more(i, x.shape)
                case "euler" | "heun" | "euler_maruyama":
                    raise ValueError(f"solver {solver} cannot sample a diffusion")
                case _:
                    assert_never(solver)
        return x

    def _steps(self, draws: Mapping[str, Tensor]) -> Tensor:
        """Return steps 0 .. T - 1, as numbers of the images' precision."""
        return (draws["time"] * self._recipe.steps).floor().clamp_max(self._recipe.steps - 1)

    def _noised(self, images: Tensor, noise: Tensor, step: Tensor) -> Tensor:
        at = self._at(step, images.dtype)
        return at.signal * images + at.noise * noise

    def _split(self, prediction: Tensor) -> tuple[Tensor, Tensor | None]:
        if not self._recipe.learned_variance:
            return prediction, None
        noise, variance = prediction.chunk(2, dim=2)
        return noise, variance

    def _bits(self, images: Tensor, x: Tensor, noise: Tensor, variance: Tensor, step: Tensor) -> Tensor:
        """Return each image's term of the variational bound, [K, B], in bits a pixel."""
        at = self._at(step, x.dtype)
        data = (x - at.noise * noise) / at.signal
        share = (variance.to(x) + 1) / 2
        log_variance = share * at.most_log_variance + (1 - share) * at.least_log_variance
        mean, true_mean = (at.of_data * each + at.of_x * x for each in (data, images))
        divergence = _gaussian_divergence(true_mean, at.least_log_variance, mean, log_variance)
        nothing = _pixel_log_likelihood(images, mean, 0.5 * log_variance)
        first = (step == 0)[..., None, None, None]
        return torch.where(first, -nothing, divergence).mean((2, 3, 4)) / math.log(2)

    def _at(self, step: Tensor, dtype: torch.dtype) -> _Table:
        """Return the schedule's numbers at each image's step, [K, B, 1, 1, 1]."""
        device = step.device
        if device not in self._tables:  # kept on the device, since a graph cannot copy them from the host
            whole = schedule(self._recipe.steps, self._recipe.steps, self._recipe.schedule)
            signal, noise = np.sqrt(whole.alpha_bar), np.sqrt(1 - whole.alpha_bar)
            snr = whole.alpha_bar / (1 - whole.alpha_bar)
            weight = np.minimum(snr, self._recipe.min_snr or np.inf) / snr
            bounds = whole.least_log_variance, whole.most_log_variance
            numbers = (signal, noise, whole.of_data, whole.of_x, *bounds, weight)
            self._tables[device] = _Table(*(torch.from_numpy(part).to(device) for part in numbers))
        chosen = step.long()
        return _Table(*(part[chosen].to(dtype)[..., None, None, None] for part in self._tables[device]))


def _deviation(taken: Schedule, i: int, variance: Tensor | None) -> Tensor | float:
    most, least = float(taken.most_log_variance[i]), float(taken.least_log_variance[i])
    if variance is None:
        return math.exp(0.5 * most)
    share = (variance + 1) / 2
    return (0.5 * (share * most + (1 - share) * least)).exp()


def _gaussian_divergence(mean: Tensor, log_variance: Tensor, other: Tensor, other_log_variance: Tensor) -> Tensor:
    """Return the Kullback-Leibler divergence of one normal distribution from another, in nats, by element."""
    difference = (log_variance - other_log_variance).exp() + (mean - other).square() * (-other_log_variance).exp()
    return 0.5 * (-1 + other_log_variance - log_variance + difference)


def _pixel_log_likelihood(images: Tensor, mean: Tensor, log_deviation: Tensor) -> Tensor:
    """Return the log-probability of pixels in [-1, 1] under a normal distribution cut into 256 values."""
    inverse = (-log_deviation).exp()
    above, below = (_normal_cdf(inverse * (images - mean + side)) for side in (PIXEL, -PIXEL))
    inside = (above - below).clamp_min(1e-12).log()
    upper, lower = above.clamp_min(1e-12).log(), (1 - below).clamp_min(1e-12).log()
    return torch.where(images < -0.999, upper, torch.where(images > 0.999, lower, inside))


def _normal_cdf(x: Tensor) -> Tensor:
    # The approximation that the public code has.
    return 0.5 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
