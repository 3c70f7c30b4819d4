"""What the GPU benchmark runs: K lanes of a size, their steps called, captured or compiled, and timed."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from trainer.backbones.flat_parameters import views
from trainer.backbones.flops import pass_flops
from trainer.backbones.protocol import Network
from trainer.backbones.sit import SiT
from trainer.data.images import Images
from trainer.objectives.interpolant import Interpolant
from trainer.recipe import Dispersion, InterpolantRecipe, SiTRecipe, TrainRecipe
from trainer.regularisers.dispersive_term import DispersiveTerm
from trainer.runtime.cuda_graph import Captured
from trainer.training.batches import TrainingSplit
from trainer.training.flops import step_flops
from trainer.training.lane_state import initial_lanes
from trainer.training.prefetch import Prefetch
from trainer.training.running_means import RunningMeans
from trainer.training.train_step import TrainStep

Mode = Literal["eager", "captured", "compiled"]
IMAGES, CLASSES = 1024, 10
REPEATS = 3


class Size(NamedTuple):
    """A model and its data's shape (C, H, W); a trial is so many optimiser steps of a batch."""

    name: str
    model: SiTRecipe
    shape: tuple[int, int, int]
    batch: int
    steps: int

    def train(self, precision: str) -> TrainRecipe:
        """Return how it is trained."""
        return TrainRecipe(steps=self.steps, batch=self.batch, lr=1e-3, precision=precision)

    @property
    def step_flops(self) -> int:
        """Operations of a lane's step."""
        network = SiT(self.model, self.shape, CLASSES, 1000.0, torch.device("cpu"))
        return step_flops(pass_flops(network), InterpolantRecipe(), self.batch)


def spelt_out(width: int, depth: int, heads: int, patch: int) -> SiTRecipe:
    """Return a model's recipe with every field given, as `bare` needs it."""
    return SiTRecipe(width=width, depth=depth, heads=heads, patch=patch, mlp_ratio=4.0)


SIZES = (
    Size("digits-compact", spelt_out(48, 4, 4, 2), (1, 8, 8), 32, 1200),
    Size("mnist-compact", spelt_out(192, 12, 3, 4), (1, 28, 28), 32, 4000),
    Size("SiT-S/2 latents", spelt_out(384, 12, 6, 2), (4, 32, 32), 32, 40_000),
)
TINY = (
    Size("tiny", spelt_out(16, 2, 2, 2), (1, 8, 8), 8, 1200),
    Size("tiny, 36 tokens", spelt_out(16, 3, 2, 2), (3, 12, 12), 8, 4000),
)


def settings(size: Size, lanes: int, lam: float) -> list[Dispersion]:
    """Return what lanes disperse: the blocks in turn, at temperatures of their own."""
    depth = size.model.depth
    return [
        Dispersion(blocks=(lane % depth,), lam=lam, tau=0.25 * (1 + lane % 3), variant="l2", tau_units="absolute")
        for lane in range(lanes)
    ]


class Program:
    """A cohort without its evaluation: `step` takes one optimiser step."""

    def __init__(
        self,
        size: Size,
        dispersions: list[Dispersion],
        device: torch.device,
        mode: Mode = "captured",
        precision: str = "bf16",
        seeds: list[int] | None = None,
    ) -> None:
        seeds = seeds or [0] * len(dispersions)
        random = torch.Generator().manual_seed(0)
        pixels = torch.randint(256, (IMAGES, *size.shape), generator=random, dtype=torch.uint8)
        labels = torch.randint(CLASSES, (IMAGES,), generator=random).to(device)
        split = TrainingSplit(Images(pixels.to(device), 255.0), labels, CLASSES)
        train = size.train(precision)
        self.model = SiT(size.model, size.shape, CLASSES, 1000.0, device)
        objective, term = Interpolant(), DispersiveTerm(dispersions, train.batch, self.model.tap_shapes, device)
        self.learnt = initial_lanes(self.model, term, seeds, device)
        means = RunningMeans.zeros((*objective.recorded, *term.recorded), term.counted, len(seeds), device)
        compiled = mode == "compiled"
        self._take_step = TrainStep(self.model, objective, term, train, self.learnt, means, 0, compiled)
        self._prefetch, self._left = Prefetch(objective.draws, split, train, seeds), 0
        self._run: Callable[[], None] = self._once if mode == "eager" else Captured(self._once, device)
        self.taken = 0

    def _once(self) -> None:
        self._take_step(self._prefetch.take())

    def step(self) -> None:
        """Take one optimiser step; the host may be ahead of the device."""
        if not self._left:
            self._prefetch.fill(self.taken)
            self._left = self._prefetch.steps
        self._run()
        self._left, self.taken = self._left - 1, self.taken + 1

    def network(self) -> Network:
        """Return the lanes' averaged weights, ready to be called."""
        return Network(self.model, views(self.learnt.ema, self.model.layout))

    @property
    def captured(self) -> bool:
        """Whether steps are replays."""
        return isinstance(self._run, Captured) and self._run.captured

    def moved(self, steps: int) -> Tensor:
        """Return how far the lanes' weights [K, P] are from where they began after so many steps."""
        begun = self.learnt.weights.double().cpu().clone()
        while self.taken < steps:
            self.step()
        return self.learnt.weights.double().cpu() - begun


def settle(device: torch.device) -> None:
    """Wait until the device has nothing to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_a_call(call: Callable[[], object], device: torch.device, seconds: float, warm_ups: int = 6) -> float:
    """Return the seconds of a call, the median of three stretches of about `seconds`, device work included."""
    for _ in range(warm_ups):
        call()
    settle(device)
    begun = time.perf_counter()
    call()
    settle(device)
    calls = max(1, int(seconds / max(time.perf_counter() - begun, 1e-6)))
    return statistics.median(_timed(call, device, calls) for _ in range(REPEATS))


def _timed(call: Callable[[], object], device: torch.device, calls: int) -> float:
    begun = time.perf_counter()
    for _ in range(calls):
        call()
    settle(device)
    return (time.perf_counter() - begun) / calls


def clean(device: torch.device) -> None:
    """Give memory back, graphs' pools included, and start to count its peak anew."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def matmul_rate(device: torch.device, seconds: float) -> float:
    """Return the operations a second of a large bfloat16 product, what else is measured against."""
    side = 8192 if device.type == "cuda" else 256
    a, b = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    return 2 * side**3 / seconds_a_call(lambda: a @ b, device, seconds, warm_ups=2)
