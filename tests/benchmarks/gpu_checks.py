"""What must hold before a figure of the GPU benchmark means anything."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor

from tests.benchmarks.gpu_program import Program, Size
from trainer.objectives.interpolant import Interpolant
from trainer.recipe import Dispersion, EvalRecipe
from trainer.regularisers.infonce import L2InfoNce
from trainer.regularisers.representation import squared_distances
from trainer.rng import counters
from trainer.rng.step_noise import StepNoise, step_keys
from trainer.runtime.cuda_graph import CapturedCall

STEPS = 12  # of which the first few warm up, and the others are replays


class Check(NamedTuple):
    """A claim, by how much it is missed, and by how much it may be."""

    claim: str
    difference: float
    allowed: float

    @property
    def holds(self) -> bool:
        """Whether it is within what is allowed; a NaN is not."""
        return self.difference <= self.allowed


def checks(size: Size, device: torch.device) -> Iterator[Check]:
    """Check a small size; every setting of the loss is in it.

    Compared is how far weights moved. AdamW makes a full step of a gradient that is all rounding error, so what is
    allowed is far above rounding, and far below what another batch, rate or lane would give.
    """
    lanes, seeds = _settings(), [0, 0, 1, 1, 2]
    with _float64():
        yield Check("a lane equals its solo run, float64", _lane_and_solo(size, device, "fp32"), 1e-9)
    yield Check("a lane equals its solo run, bf16", _lane_and_solo(size, device, "bf16"), 0.1)
    for precision, allowed in (("fp32", 1e-2), ("bf16", 0.1)):
        eager, captured = (Program(size, lanes, device, mode, precision, seeds) for mode in ("eager", "captured"))
        difference = _apart(captured.moved(STEPS), eager.moved(STEPS))
        how = "captured" if captured.captured else "NOT CAPTURED"
        yield Check(f"a {how} step equals the same step called, {precision}", difference, allowed)
        if device.type == "cuda":
            yield Check(f"steps are captured, {precision}", float(not captured.captured), 0)
    yield Check("the loss in few operations equals the plain one", _losses(size, device), 1e-4)
    here = counters.normal(torch.arange(4), 0, 1000)
    yield Check(
        "noise is the same on every device",
        _apart(counters.normal(torch.arange(4, device=device), 0, 1000), here),
        1e-5,
    )
    yield Check("a captured solver equals the same solver called", _solvers(eager, device), 1e-4)


def _settings() -> list[Dispersion]:
    given = [((0,), 0.0, "l2", "absolute"), ((1,), 0.25, "l2", "absolute"), ((0, 1), 0.1, "hinge", "absolute")]
    given += [((0,), 0.05, "l2", "relative"), ((0, 1), 0.05, "cosine", "absolute")]
    return [Dispersion(blocks=b, lam=lam, tau=0.5, variant=v, tau_units=u) for b, lam, v, u in given]


def _lane_and_solo(size: Size, device: torch.device, precision: str) -> float:
    lanes, seeds = _settings(), [0, 0, 1, 1, 2]
    together = Program(size, lanes, device, "captured", precision, seeds).moved(STEPS)
    alone = [
        Program(size, [a], device, "captured", precision, [b]).moved(STEPS) for a, b in zip(lanes, seeds, strict=True)
    ]
    return max(_apart(both, solo[0]) for both, solo in zip(together, alone, strict=True))


def _losses(size: Size, device: torch.device) -> float:
    # Of four lanes, each at a tau of its own, against what autograd makes of the formula.
    random = torch.Generator().manual_seed(0)
    z = torch.randn(4, 32, 16 * size.model.width, generator=random).to(device).requires_grad_()
    tau = torch.tensor([0.01, 0.1, 0.5, 2.0], device=device)
    formula = (-squared_distances(z) / tau[:, None, None]).flatten(1).logsumexp(1)
    grads = [torch.autograd.grad(loss.sum(), z)[0] for loss in (formula, L2InfoNce.apply(z, tau))]
    return _apart(grads[1], grads[0])


@torch.no_grad()
def _solvers(program: Program, device: torch.device) -> float:
    network, evaluation = program.network(), EvalRecipe(nfe=4, solver="euler", cfg=1.0)
    labels = torch.zeros(network.lanes, 16, dtype=torch.long, device=device)
    more = StepNoise(step_keys([0] * network.lanes, 0, device), 16, torch.arange(16, device=device))

    def drawn(noise: Tensor) -> Tensor:
        return Interpolant().sample(network, noise, labels, evaluation, more)

    played = CapturedCall(drawn, device, warm_ups=1)
    noises = [torch.randn(network.lanes, 16, *program.model.shape, device=device) for _ in range(3)]
    return max(_apart(played(noise), drawn(noise)) for noise in noises)


def _apart(one: Tensor, other: Tensor) -> float:
    one, other = one.double().cpu(), other.double().cpu()
    return float((one - other).norm() / other.norm())


@contextmanager
def _float64() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)
