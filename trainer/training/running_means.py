"""Running means of a cohort's losses, kept on the device so that training never waits for the host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Self

import torch
from torch import Tensor

from trainer.regularisers.bounds import at_floor
from trainer.training.loss import Losses

MEMORY = 0.98  # decay of the running means: about the last 50 steps


@dataclass
class Tallies:
    """Per lane, [K]: running means of the losses (and of 1, their weight), and counts of steps.

    Means fade instead of being reset, so reading them changes nothing and a resumed run reads the same.
    """

    velocity: Tensor
    dispersive: Tensor
    above_floor: Tensor
    weight: Tensor
    floor_steps: Tensor
    steps: Tensor

    @classmethod
    def zeros(cls, lanes: int, device: torch.device) -> Self:
        """Return means of nothing."""
        return cls(*(torch.zeros(lanes, device=device) for _ in fields(cls)))

    @classmethod
    def load(cls, state: Mapping[str, Tensor], device: torch.device) -> Self:
        """Return what `state` gave."""
        # Copied: counting goes on in place, and the caller's tensors are the caller's.
        return cls(*(state[field.name].to(device, copy=True) for field in fields(cls)))

    def state(self) -> dict[str, Tensor]:
        """Return means and counts by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def select(self, rows: Tensor) -> Tallies:
        """Return those of some lanes."""
        return Tallies(*(part.index_select(0, rows) for part in self.state().values()))

    def add(self, losses: Losses) -> None:
        """Count one optimiser step."""
        self.velocity.lerp_(losses.velocity, 1 - MEMORY)
        self.dispersive.lerp_(losses.dispersive, 1 - MEMORY)
        self.above_floor.lerp_(losses.above_floor, 1 - MEMORY)
        self.weight.mul_(MEMORY).add_(1 - MEMORY)
        self.floor_steps += at_floor(losses.above_floor, losses.span)
        self.steps += 1

    def finite(self) -> Tensor:
        """Return whether each lane's diffusion loss was finite at every step so far, [K]."""
        return self.velocity.isfinite()

    def read(self) -> dict[str, Tensor]:
        """Return recent mean losses and the share of all steps at the floor, each [K] on the host."""
        weight = self.weight.clamp_min(torch.finfo(self.weight.dtype).tiny)
        means = {
            "train_loss": self.velocity / weight,
            "dispersive_loss": self.dispersive / weight,
            "floor_distance": self.above_floor / weight,
            "floor_share": self.floor_steps / self.steps.clamp_min(1),
        }
        return {name: mean.cpu() for name, mean in means.items()}
