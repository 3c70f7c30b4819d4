import pytest
import torch

from trainer.infonce import InfoNceLoss, LogMeanExp, training_loss
from trainer.loss import TrainingLoss
from trainer.model import Output
from trainer.recipe import Dispersion

CPU = torch.device("cpu")
LANES = [
    Dispersion(blocks=(2,), lam=0.25, tau=0.5),
    Dispersion(),
    Dispersion(blocks=(0, 1, 2), lam=0.5, tau=2.0),
    Dispersion(blocks=(0,), lam=0.1, tau=0.01),
]


def given(dtype: torch.dtype, batch: int = 6) -> tuple[Output, torch.Tensor, list[torch.Tensor]]:
    random = torch.Generator().manual_seed(0)
    shapes = [(4, batch, 4, 8)] * 3 + [(4, batch, 1, 4, 4)] * 2
    *tokens, velocity, target = (torch.randn(s, generator=random, dtype=torch.float64).to(dtype) for s in shapes)
    leaves = [part.requires_grad_() for part in (*tokens, velocity)]
    return Output(velocity, dict(enumerate(tokens))), target, leaves


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("batch", [2, 6])
def test_losses_and_gradients_are_those_of_the_plain_formula(dtype, tolerance, batch):
    output, target, leaves = given(dtype, batch)
    results = []
    for kind in (TrainingLoss, InfoNceLoss):
        losses = kind(LANES, CPU)(output, target)
        results.append([*losses, *torch.autograd.grad(losses.total.sum(), leaves)])
    for plain, short in zip(*results, strict=True):
        torch.testing.assert_close(short, plain, rtol=tolerance, atol=tolerance, equal_nan=True, check_dtype=False)


def test_the_gradient_is_that_of_finite_differences():
    z = torch.randn(2, 5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    tau = torch.tensor([0.5, 2.0], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda each: LogMeanExp.apply(each, tau), (z,))


def test_far_from_the_origin_no_digit_is_lost():
    z = torch.randn(1, 8, 64, generator=torch.Generator().manual_seed(1)) * 0.01
    tau = torch.tensor([1e-4])
    near, far = (LogMeanExp.apply(z + offset, tau) for offset in (0.0, 30.0))
    torch.testing.assert_close(near, far, rtol=1e-2, atol=1e-2)


def test_a_batch_of_one_has_no_loss():
    output, target, _ = given(torch.float32, batch=1)
    losses = InfoNceLoss(LANES, CPU)(output, target)
    assert losses.dispersive[[0, 2, 3]].tolist() == [0.0] * 3


def test_it_is_chosen_on_a_gpu_where_every_lane_that_disperses_can():
    assert type(training_loss(LANES, CPU)) is TrainingLoss
