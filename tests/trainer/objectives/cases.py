"""Objectives under test, and networks whose answers are known."""

from __future__ import annotations

import torch
from torch import Tensor

from trainer.backbones.protocol import Conditioning, Output
from trainer.rng.step_noise import StepNoise, step_keys

LANES, BATCH, CLASSES = 2, 6, 4
RANDOM = torch.Generator().manual_seed(3)
IMAGES, NOISE, PREDICTED = (torch.randn(LANES, BATCH, 1, 4, 4, generator=RANDOM, dtype=torch.float64) for _ in range(3))
LABELS = torch.randint(0, CLASSES, (LANES, BATCH), generator=RANDOM)
LABELS[:, 1::3] = CLASSES  # dropped
TIMES, OTHERS = (torch.rand(LANES, BATCH, generator=RANDOM, dtype=torch.float64) for _ in range(2))
DRAWS = {"noise": NOISE, "time": TIMES, "other_time": OTHERS}
CPU = torch.device("cpu")
MORE = StepNoise(step_keys([0, 1], 0, CPU), BATCH, torch.arange(BATCH))


class Known:
    """Predicts what a function of what it is shown returns, and keeps what it was called with."""

    classes = CLASSES

    def __init__(self, answer) -> None:
        self.backbone, self.answer, self.calls = self, answer, []

    def __call__(self, x: Tensor, given: Conditioning, taps=()) -> Output:
        self.calls.append((x, given, taps))
        return Output(self.answer(x, given), {tap: x[:, :, 0] + tap for tap in taps})


def always(predicted: Tensor = PREDICTED) -> Known:
    """A network that predicts the same whatever it is shown."""
    return Known(lambda _x, _given: predicted)


def column(time: Tensor) -> Tensor:
    """Times [K, B] beside images."""
    return time.double()[..., None, None, None]
