"""Running means of the values that a cohort's steps record, kept on the device so that training never waits.

Shapes: K lanes, T recorded values, C counted conditions
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

import torch
from torch import Tensor

MEMORY = 0.98  # decay of the running means: about the last 50 steps
WEIGHT, STEPS = "weight", "steps"
# Names in checkpoints written before 2026-11-26, and their names now.
RENAMED = {
    "velocity": "train_loss",
    "dispersive": "dispersive_loss",
    "above_floor": "floor_distance",
    "floor_steps": "floor_share",
}


def current_name(saved: str) -> str:
    """Return today's name of a value saved under this name, with the prefix "tally." or none."""
    prefix, point, name = saved.rpartition(".")
    return f"{prefix}{point}{RENAMED.get(name, name)}" if prefix in ("", "tally") else saved


class RunningMeans:
    """Per lane: running means of recorded values (and of 1, their weight), and shares of all steps by condition.

    Means decay instead of being reset, so reading them has no side effect and a resumed run reads the same.
    """

    def __init__(
        self, recorded: Sequence[str], counted: Sequence[str], means_TK: Tensor, counts_CK: Tensor, both_2K: Tensor
    ) -> None:
        """`both_2K` holds the means' weight and the number of steps."""
        self._recorded, self._counted = tuple(recorded), tuple(counted)
        self._means, self._counts, (self._weight, self._steps) = means_TK, counts_CK, both_2K.unbind(0)

    @classmethod
    def zeros(cls, recorded: Sequence[str], counted: Sequence[str], lanes: int, device: torch.device) -> Self:
        """Return means before the first step."""
        means, counts = (torch.zeros(len(names), lanes, device=device) for names in (recorded, counted))
        return cls(recorded, counted, means, counts, torch.zeros(2, lanes, device=device))

    @classmethod
    def load(
        cls, recorded: Sequence[str], counted: Sequence[str], state: Mapping[str, Tensor], device: torch.device
    ) -> Self:
        """Return the means whose `state` gave this."""
        known = {current_name(name): part for name, part in state.items()}
        loaded = cls.zeros(recorded, counted, len(known[WEIGHT]), device)
        # Copied: updates work in place, and must not change the caller's tensors.
        for name, part in loaded.state().items():
            part.copy_(known[name])
        return loaded

    def state(self) -> dict[str, Tensor]:
        """Return means and counts by name, each [K]."""
        named = {**dict(zip(self._recorded, self._means, strict=True)), WEIGHT: self._weight}
        return named | dict(zip(self._counted, self._counts, strict=True)) | {STEPS: self._steps}

    def select(self, rows: Tensor) -> RunningMeans:
        """Return those of some lanes."""
        kept = (part.index_select(1, rows) for part in (self._means, self._counts, self._both()))
        return RunningMeans(self._recorded, self._counted, *kept)

    def add(self, recorded: Mapping[str, Tensor], counted: Mapping[str, Tensor]) -> None:
        """Count one optimiser step."""
        self._means.lerp_(torch.stack([recorded[name] for name in self._recorded]), 1 - MEMORY)
        self._weight.mul_(MEMORY).add_(1 - MEMORY)
        if self._counted:
            self._counts += torch.stack([counted[name] for name in self._counted])
        self._steps += 1

    def finite(self) -> Tensor:
        """Return whether each lane's training loss was finite at every step so far, [K]."""
        return self._means[0].isfinite()

    def read(self) -> dict[str, Tensor]:
        """Return recent means and shares of all steps, each [K] on the host."""
        weight = self._weight.clamp_min(torch.finfo(self._weight.dtype).tiny)
        means = dict(zip(self._recorded, (self._means / weight).cpu(), strict=True))
        return means | dict(zip(self._counted, (self._counts / self._steps.clamp_min(1)).cpu(), strict=True))

    def _both(self) -> Tensor:
        return torch.stack([self._weight, self._steps])
