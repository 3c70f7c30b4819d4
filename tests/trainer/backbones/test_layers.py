"""The linear layer of K lanes, differentiated forward."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from trainer.backbones.layers import product


class Products(TorchDispatchMode):
    """Counts products of matrices."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func in (torch.ops.aten.bmm.default, torch.ops.aten.baddbmm.default)
        return func(*args, **(kwargs or {}))


def drawn(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


WEIGHT, BIAS = drawn(2, 5, 3, seed=0), drawn(2, 3, seed=1)
X, AHEAD = drawn(2, 4, 6, 5, seed=2), drawn(2, 4, 6, 5, seed=3)


def layer(x: Tensor, weight: Tensor = WEIGHT, bias: Tensor = BIAS) -> Tensor:
    return product({"l.weight": weight, "l.bias": bias}, "l", x)


def test_a_derivative_along_the_input_takes_one_product_more_and_none_of_zeros():
    with Products() as counted:
        value, slope = torch.func.jvp(layer, (X,), (AHEAD,))
    assert counted.count == 2
    assert torch.equal(value, layer(X))
    torch.testing.assert_close(slope, torch.einsum("kbni,kio->kbno", AHEAD, WEIGHT))


def test_weights_that_have_a_derivative_of_their_own_keep_it():
    weight, bias = drawn(2, 5, 3, seed=4), drawn(2, 3, seed=5)
    _, slope = torch.func.jvp(layer, (X, WEIGHT, BIAS), (AHEAD, weight, bias))
    by_hand = torch.einsum("kbni,kio->kbno", AHEAD, WEIGHT) + torch.einsum("kbni,kio->kbno", X, weight)
    torch.testing.assert_close(slope, by_hand + bias[:, None, None])


def test_a_derivative_along_the_input_can_itself_be_differentiated():
    weight = WEIGHT.clone().requires_grad_()
    value, slope = torch.func.jvp(lambda x: layer(x, weight), (X,), (AHEAD,))
    (by_both,) = torch.autograd.grad((value + slope).sum(), weight)
    torch.testing.assert_close(by_both, torch.einsum("kbni,kbno->kio", X + AHEAD, torch.ones_like(value)))
