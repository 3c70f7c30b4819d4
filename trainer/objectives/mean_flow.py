"""MeanFlow (Geng et al. 2025, arXiv:2505.13447): the average velocity over an interval, for sampling in one step.

Time as in the paper: noise is at t = 1, data at t = 0, z_t = (1 - t) data + t noise, and the velocity is noise - data.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor

from trainer.backbones.protocol import Conditioning, Network
from trainer.objectives.classifier_free_guidance import guided
from trainer.objectives.paths import training_times
from trainer.objectives.protocol import Learning
from trainer.recipe import EvalRecipe, MeanFlowRecipe
from trainer.rng.draws import Draw
from trainer.rng.step_noise import StepNoise


class _Interval(NamedTuple):
    # From r to t, each [K, B]; r = t for the first of a batch.
    t: Tensor
    r: Tensor


class MeanFlow:
    """Predicts u(z_t, r, t), the mean of the velocity from r to t.

    Its target is v - (t - r) du/dt (equation 10), with the derivative along the path by a Jacobian-vector product.
    """

    draws = MappingProxyType(
        {"noise": Draw("normal", "pixel"), "time": Draw("uniform", "sample"), "other_time": Draw("uniform", "sample")}
    )
    recorded = ("train_loss",)

    def __init__(self, recipe: MeanFlowRecipe) -> None:
        self._recipe = recipe

    def loss(
        self, network: Network, images: Tensor, labels: Tensor, draws: Mapping[str, Tensor], taps: Collection[int]
    ) -> Learning:
        """Return the adaptively weighted squared error (equation 22); 'train_loss' is the mean squared error."""
        t, r = self._interval(draws)
        z, velocity = _path(images, draws["noise"], t)
        velocity = self._guided(network, z, velocity, t, labels)

        def average(z: Tensor, t: Tensor, r: Tensor) -> tuple[Tensor, Mapping[int, Tensor]]:
            output = network(z, Conditioning(t, labels, r), taps)
            return output.prediction, output.taps

        along = (velocity, torch.ones_like(t), torch.zeros_like(r))
        predicted, slope, kept = _with_slope(average, (z, t, r), along)
        target = velocity - (t - r)[..., None, None, None] * slope
        squares = (predicted - target.detach()).square()
        errors = squares.sum((2, 3, 4))
        weighted = errors / (errors.detach() + self._recipe.offset) ** self._recipe.power
        return Learning(weighted.mean(1), {"train_loss": squares.detach().mean((1, 2, 3, 4))}, kept)

    def seen(self, images: Tensor, labels: Tensor, draws: Mapping[str, Tensor]) -> tuple[Tensor, Conditioning]:
        """Return z_t and an empty interval at t: what the network sees of most samples."""
        t = self._times(draws["time"])
        return _path(images, draws["noise"], t)[0], Conditioning(t, labels, t)

    def held_out(self, network: Network, images: Tensor, labels: Tensor, draws: Mapping[str, Tensor]) -> Tensor:
        """Return the mean squared error of the velocity at one time, r = t, over pixels."""
        z, condition = self.seen(images, labels, draws)
        velocity = draws["noise"] - images
        return (network(z, condition).prediction - velocity).square().mean((2, 3, 4))

    def sample(
        self,
        network: Network,
        noise: Tensor,
        labels: Tensor,
        evaluation: EvalRecipe,
        more: StepNoise,  # noqa: ARG002 - nothing is random on the way
    ) -> Tensor:
        """Go from noise to data in `nfe` equal intervals, each by its average velocity."""
        predict, z = guided(network, labels, evaluation), noise
        times = [1 - i / evaluation.nfe for i in range(evaluation.nfe + 1)]
        for t, r in itertools.pairwise(times):
            z = z - (t - r) * predict(z, t, progress=1 - t, until=r)
        return z

    def _times(self, uniform: Tensor) -> Tensor:
        recipe = self._recipe
        return training_times(uniform, recipe.times, recipe.time_mean, recipe.time_std)

    def _interval(self, draws: Mapping[str, Tensor]) -> _Interval:
        first, second = self._times(draws["time"]), self._times(draws["other_time"])
        t, r = torch.maximum(first, second), torch.minimum(first, second)
        # The first of a batch, as in the public code: a batch is in random order.
        batch = t.shape[1]
        instant = torch.arange(batch, device=t.device) < int(batch * self._recipe.instant_share)
        return _Interval(t, torch.where(instant, t, r))

    @torch.no_grad()
    def _guided(self, network: Network, z: Tensor, velocity: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        """Return the velocity, guided by equation 20 if the recipe asks for it and the label is not dropped."""
        omega, kappa, classes = self._recipe.omega, self._recipe.kappa, network.backbone.classes
        if not self._recipe.is_guided:
            return velocity
        without = network(z, Conditioning(t, torch.full_like(labels, classes), t)).prediction
        mixed = omega * velocity + (1 - omega - kappa) * without
        if kappa:
            mixed = mixed + kappa * network(z, Conditioning(t, labels, t)).prediction
        return torch.where((labels == classes)[..., None, None, None], velocity, mixed)


def _with_slope(
    function: Callable[..., tuple[Tensor, Mapping[int, Tensor]]],
    at: tuple[Tensor, ...],
    along: tuple[Tensor, ...],
) -> tuple[Tensor, Tensor, Mapping[int, Tensor]]:
    """Return a function's value, its derivative along a direction, and what else it returns."""
    value, slope, kept = torch.func.jvp(function, at, along, has_aux=True)  # type: ignore[misc]  # two, it declares
    return value, slope, kept


def _path(images: Tensor, noise: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """Return z_t and the velocity there."""
    time = t[..., None, None, None]
    return (1 - time) * images + time * noise, noise - images
