"""Lambda over time: it may rise from 0 at the beginning, and be 0 again from some step on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from trainer.recipe import Dispersion


class LamSchedule:
    """The weights of a cohort's lanes, each [K], as a function of the share of steps that were taken before."""

    def __init__(self, settings: Sequence[Dispersion], device: torch.device) -> None:
        """A lane whose lambda does not change costs nothing; where no lane's does, neither does the cohort."""
        self.peak = torch.tensor([each.lam for each in settings], device=device)
        self._changes = any(each.lam > 0 and (each.lam_warmup or each.lam_end < 1) for each in settings)
        # At the very first step the share is 0, and a lane without warm-up would divide by 0 too.
        self._steady = torch.tensor([not each.lam_warmup for each in settings], device=device)
        self._warmup = torch.tensor([each.lam_warmup or 1.0 for each in settings], device=device)
        self._end = torch.tensor([each.lam_end if each.lam_end < 1 else 2.0 for each in settings], device=device)

    def at(self, progress: Tensor | None) -> Tensor:
        """Return lambda where `progress`, of no dimension, is the share; None is its peak.

        Linear over the warm-up, 0 at its very beginning; 0 from the end on.
        """
        if not self._changes or progress is None:
            return self.peak
        risen = torch.where(self._steady, 1.0, (progress / self._warmup).clamp_max(1))
        return self.peak * risen * (progress < self._end)

    def acts(self, lam_K: Tensor, condition_K: Tensor) -> Tensor:
        """Return the condition where lambda is above 0, false elsewhere: without a loss no lane is at its floor."""
        return condition_K & (lam_K > 0) if self._changes else condition_K


def over_active_steps(metrics: Mapping[str, float], setting: Dispersion, step: int, steps: int) -> dict[str, float]:
    """Return a lane's metrics after `step` of `steps` steps with 'floor_share' as that of steps with lambda above 0.

    The recorded share is of all steps, so steps with lambda 0 would hide a lane that is at the floor whenever lambda
    acts. Without any step with lambda above 0 there is no share.
    """
    shown = dict(metrics)
    if "floor_share" in shown and (setting.lam_warmup or setting.lam_end < 1):
        active = setting.active_steps(step, steps)
        share = shown.pop("floor_share")
        if active:
            shown["floor_share"] = min(1.0, share * step / active)
    return shown
