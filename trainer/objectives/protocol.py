"""The contract of an objective: the quantity a network learns to predict, and how samples are drawn with it.

Shapes: K lanes, B batch
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple, Protocol

from torch import Tensor

from trainer.backbones.protocol import Conditioning, Network
from trainer.recipe import EvalRecipe
from trainer.rng.draws import Wanted
from trainer.rng.step_noise import StepNoise


class Learning(NamedTuple):
    """The `loss` [K] that a step minimises, with gradient; recorded values by name; the requested taps' outputs.

    A recorded value is [K] and has no gradient; the first is called 'train_loss'.
    """

    loss: Tensor
    recorded: Mapping[str, Tensor]
    taps: Mapping[int, Tensor]


class Objective(Protocol):
    """A training objective with its sampler."""

    @property
    def draws(self) -> Wanted:
        """The random numbers of a batch, in the order they are drawn."""

    @property
    def recorded(self) -> tuple[str, ...]:
        """The names of what `loss` records, 'train_loss' first."""

    def loss(
        self, network: Network, images: Tensor, labels: Tensor, draws: Mapping[str, Tensor], taps: Collection[int]
    ) -> Learning:
        """Return a batch's loss; images are [K, B, C, H, W], labels [K, B], draws as `draws` says, [K, ...]."""

    def seen(self, images: Tensor, labels: Tensor, draws: Mapping[str, Tensor]) -> tuple[Tensor, Conditioning]:
        """Return the network's inputs in training."""

    def held_out(self, network: Network, images: Tensor, labels: Tensor, draws: Mapping[str, Tensor]) -> Tensor:
        """Return the error of every held-out image, [K, B]."""

    def sample(
        self, network: Network, noise: Tensor, labels: Tensor, evaluation: EvalRecipe, more: StepNoise
    ) -> Tensor:
        """Return images [K, B, C, H, W] from normal noise shaped like them, with evaluation's solver and guidance.

        `more` is the noise that stochastic solvers add on the way.
        """
