"""Noise schedules of DDPM (Ho et al. 2020, arXiv:2006.11239) and a reverse process of fewer of their steps.

Step i of 0 .. T - 1 is x = sqrt(alpha_bar_i) data + sqrt(1 - alpha_bar_i) noise; the last is nearly noise alone.
"""

from __future__ import annotations

from typing import NamedTuple, assert_never

import numpy as np
import numpy.typing as npt

from trainer.recipe.objective import NoiseSchedule

Numbers = npt.NDArray[np.float64]


class Schedule(NamedTuple):
    """The numbers of a process of n steps, each [n], in float64; `steps` are those of the whole process, rising.

    The posterior q(x_before | x, data) has mean `of_data` data + `of_x` x and the variance whose logarithm is
    `least_log_variance`; the greatest that a reverse step may have is `most_log_variance`, the forward step's.
    """

    steps: npt.NDArray[np.int64]
    alpha_bar: Numbers
    alpha_bar_before: Numbers
    of_data: Numbers
    of_x: Numbers
    least_log_variance: Numbers
    most_log_variance: Numbers


def alpha_bar(steps: int, name: NoiseSchedule) -> Numbers:
    """Return the share of the data's variance after each step.

    Linear: the steps' variances go from 1e-4 to .02 over 1,000 of them. Cosine: equation 17 of Nichol & Dhariwal 2021,
    no step's variance above .999.
    """
    match name:
        case "linear":
            scale = 1000 / steps
            beta: Numbers = np.linspace(scale * 1e-4, scale * 0.02, steps)
        case "cosine":
            left = np.cos((np.arange(steps + 1) / steps + 0.008) / 1.008 * np.pi / 2) ** 2
            beta = np.minimum(1 - left[1:] / left[:-1], 0.999)
        case _:
            assert_never(name)
    return np.cumprod(1 - beta).astype(np.float64, copy=False)


def schedule(steps: int, taken: int, name: NoiseSchedule = "linear") -> Schedule:
    """Return the process that takes `taken` of the schedule's steps, evenly spaced with both ends (respacing).

    Nichol & Dhariwal 2021, arXiv:2102.09672, section 4; as the public DiT does.
    """
    if not 1 <= taken <= steps:
        raise ValueError(f"eval.nfe is {taken}; it can be at most objective.steps, {steps}")
    stride = (steps - 1) / (taken - 1) if taken > 1 else 1.0
    chosen = np.array([round(stride * i) for i in range(taken)])
    kept = alpha_bar(steps, name)[chosen]
    before = np.append(1.0, kept[:-1])
    alpha = kept / before
    beta = 1 - alpha
    variance = beta * (1 - before) / (1 - kept)
    # The first step's variance is 0: it takes the second's, as the public code does; of a single step its own beta.
    least = np.append(variance[1], variance[1:]) if taken > 1 else beta
    of_data, of_x = beta * np.sqrt(before) / (1 - kept), (1 - before) * np.sqrt(alpha) / (1 - kept)
    return Schedule(chosen, kept, before, of_data, of_x, np.log(least), np.log(beta))
