"""The penalty on size: its value and gradient by hand, its precision, and what it does in training."""

from __future__ import annotations

import torch

from tests.trainer.training.cohorts import BASELINE, CPU, RECIPE
from trainer.evaluation.evaluator import Evaluator
from trainer.regularisers.activation_norm import mean_square
from trainer.training.cohort import Cohort


def test_it_is_the_mean_over_samples_and_tokens_of_the_squared_norm_by_width():
    z = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    by_hand = [sum(float(token @ token) / 5 for sample in lane for token in sample) / 12 for lane in z]
    torch.testing.assert_close(mean_square(z), torch.tensor(by_hand, dtype=torch.float64))


def test_its_gradient_points_along_the_representation_itself():
    z = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0), requires_grad=True)
    (grad,) = torch.autograd.grad(mean_square(z).sum(), z)
    torch.testing.assert_close(grad, 2 * z / 60)


def test_of_a_bfloat16_representation_it_is_summed_in_float32():
    z = torch.full((1, 64, 64, 16), 1.0078125, dtype=torch.bfloat16)
    assert mean_square(z).dtype == torch.float32
    torch.testing.assert_close(mean_square(z), torch.tensor([1.0078125**2]))


def test_it_makes_the_blocks_representation_smaller(digits, extractor_cache):
    evaluator, sizes = Evaluator(RECIPE.eval, digits, extractor_cache, CPU), []
    for added in ({}, {"train.activation_norm.block": 1, "train.activation_norm.lambda": 5.0}):
        cohort = Cohort(RECIPE.override(added), [BASELINE], digits, CPU, evaluator)
        cohort.advance(30)
        sizes.append(cohort.measure()[0].metrics)
    plain, small = sizes
    assert small["feature_norm.block_1"] < 0.8 * plain["feature_norm.block_1"]
    assert 0 < small["activation_norm"] < plain["feature_norm.block_1"] ** 2
    assert "activation_norm" not in plain
