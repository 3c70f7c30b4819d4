import math

import pytest
import torch

from trainer.regularisers.infonce import L2InfoNce
from trainer.regularisers.representation import squared_distances


def random_z(lanes: int, batch: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    z = torch.randn(lanes, batch, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return z.to(dtype).requires_grad_()


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("batch", [2, 6])
def test_loss_and_gradient_are_those_that_autograd_makes_of_the_formula(dtype, tolerance, batch):
    z, tau = random_z(3, batch, dtype), torch.tensor([0.01, 0.5, 4.0], dtype=dtype)
    exponents = (-squared_distances(z) / tau[:, None, None]).flatten(1)
    results = []
    for loss in (exponents.logsumexp(1) - 2 * math.log(batch), L2InfoNce.apply(z, tau)):
        results.append((loss, *torch.autograd.grad(loss @ torch.tensor([1.0, -2.0, 3.0], dtype=dtype), z)))
    for formula, ours in zip(*results, strict=True):
        torch.testing.assert_close(ours, formula, rtol=tolerance, atol=tolerance)


def test_the_gradient_is_that_of_finite_differences():
    tau = torch.tensor([0.5, 2.0], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda z: L2InfoNce.apply(z, tau), (random_z(2, 5),))


def test_far_from_the_origin_no_digit_is_lost():
    z = torch.randn(1, 8, 64, generator=torch.Generator().manual_seed(1)) * 0.01
    tau = torch.tensor([1e-4])
    near, far = (L2InfoNce.apply(z + offset, tau) for offset in (0.0, 30.0))
    torch.testing.assert_close(near, far, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("batch", [16, 32, 128])
def test_at_the_floor_what_is_left_of_the_gradient_is_no_rounding(batch):
    """Its size is 1e-7 there; of a diagonal subtracted from a sum that holds it, up to three quarters were rounding."""
    z = 0.7 * torch.randn(4, batch, 768, generator=torch.Generator().manual_seed(0))
    found, exact = (gradient(part, torch.full((4,), 0.05, dtype=part.dtype)) for part in (z, z.double()))
    assert 0 < float(exact.norm()) < 1e-6
    assert float((found - exact).norm() / exact.norm()) < 1e-5


def gradient(z: torch.Tensor, tau: torch.Tensor) -> torch.Tensor:
    z = z.clone().requires_grad_()
    (found,) = torch.autograd.grad(L2InfoNce.apply(z, tau).sum(), z)
    return found
