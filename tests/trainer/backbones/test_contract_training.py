"""How every backbone of `cases.CASES` must train: all of it, and as a CUDA graph would."""

from __future__ import annotations

import pytest
import torch

from tests.trainer.asking import Asking
from tests.trainer.backbones.cases import BATCH, CLASSES, SHAPE, inputs
from tests.trainer.runtime.test_cuda_graph import Tape
from tests.trainer.training.steps import train_step
from trainer.backbones.flat_parameters import leaves
from trainer.backbones.protocol import Backbone, Network
from trainer.data.images import Images
from trainer.objectives.interpolant import Interpolant
from trainer.recipe import Dispersion, Lane, TrainRecipe
from trainer.runtime.cuda_graph import WARM_UPS, Captured
from trainer.training.batches import Batch, TrainingSplit
from trainer.training.prefetch import Prefetch
from trainer.training.steppers import GraphStepper
from trainer.training.train_step import Inputs

TRAIN = TrainRecipe(steps=50, batch=BATCH, warmup=2, lr=4e-3)
# A network may begin with a last product of 0, with branches and with gates of 0 before it: each opens by a step.
OPENING = 3


def lanes_of(backbone: Backbone) -> list[Lane]:
    last = len(backbone.taps) - 1
    settings = [
        Dispersion(),
        Dispersion(blocks=(last,), lam=0.25, tau=0.5),
        Dispersion(blocks=tuple({0, last}), lam=0.1, variant="covariance"),
    ]
    return [Lane(setting, seed) for seed, setting in enumerate(settings)]


def split() -> TrainingSplit:
    random = torch.Generator().manual_seed(0)
    images, labels = torch.randn(40, *SHAPE, generator=random), torch.randint(CLASSES, (40,), generator=random)
    return TrainingSplit(Images(images, None), labels, CLASSES)


def test_gradients_reach_every_slot_once_the_network_has_opened(backbone):
    step = train_step(backbone, [Lane(Dispersion(), 0)], TRAIN)
    x, given = inputs(lanes=1, batch=3 * (CLASSES + 1))
    labels = torch.arange(CLASSES + 1).repeat(3)[None]  # none is left out, "none" included
    batch = Batch(torch.ones_like(x), labels, {"noise": x, "time": given.time})
    for _ in range(OPENING):
        step(Inputs(batch, 1e-2, 0.1, torch.tensor(0.0)))
    named = leaves(step.learnt.weights.clone(), backbone.layout)
    loss = Interpolant().loss(Network(backbone, named), *batch, taps=()).loss
    grads = torch.autograd.grad(loss.sum(), list(named.values()))
    assert [name for name, grad in zip(named, grads, strict=True) if not grad.abs().max() > 0] == []
    assert all(grad.isfinite().all() for grad in grads)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_step_asks_the_host_for_nothing(backbone, precision):
    """What cannot be seen here of a capture as a CUDA graph: it fails where the host is asked."""
    lanes, train = lanes_of(backbone), TRAIN.model_copy(update={"precision": precision})
    step = train_step(backbone, lanes, train)
    prefetch = Prefetch(Interpolant.draws, split(), train, [lane.seed for lane in lanes])
    prefetch.fill(0)
    with Asking() as asking:
        step(prefetch.take())
    assert asking.seen > 100
    assert asking.asked == []


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_replayed_step_equals_the_same_step_called(backbone, precision, monkeypatch):
    lanes, tape, learnt = lanes_of(backbone), Tape(), []
    train = TRAIN.model_copy(update={"precision": precision})

    def trained() -> None:
        step = train_step(backbone, lanes, train, noise=0.1)
        stepper = GraphStepper(step, Interpolant.draws, split(), train, [lane.seed for lane in lanes])
        for number in range(WARM_UPS + 5):
            stepper(number)
        learnt.append((*step.learnt.named().values(), *step.means.state().values()))

    trained()
    monkeypatch.setattr(
        "trainer.training.steppers.Captured", lambda function, device: Captured(function, device, recorder=tape)
    )
    trained()
    assert tape.events == ["aside"] * WARM_UPS + ["record"] + ["replay"] * 5
    assert all(torch.equal(a.nan_to_num(-1), b.nan_to_num(-1)) for a, b in zip(*learnt, strict=True))
