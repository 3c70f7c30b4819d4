import math

import pytest
import torch

from trainer.backbones.sit import Output
from trainer.recipe import Dispersion
from trainer.regularisers.dispersive import dispersive_loss
from trainer.training.loss import TrainingLoss

CPU = torch.device("cpu")
BATCH, ELEMENTS = 6, 4 * 8
TOKENS = [torch.randn(3, BATCH, 4, 8, generator=torch.Generator().manual_seed(b)) for b in range(3)]
VELOCITY, TARGET = (torch.randn(3, 6, 1, 4, 4, generator=torch.Generator().manual_seed(s)) for s in (7, 8))
OUTPUT = Output(VELOCITY, dict(enumerate(TOKENS)))


def losses(*dispersions: Dispersion):
    return TrainingLoss(dispersions, BATCH, ELEMENTS, CPU)(OUTPUT, TARGET)


def single(lane: int, block: int, tau: float, variant="l2") -> float:
    return float(dispersive_loss(TOKENS[block][lane : lane + 1].flatten(2), torch.tensor([tau]), variant))


def test_total_is_regression_plus_lambda_times_dispersion_of_the_lanes_own_block():
    got = losses(
        Dispersion(),
        Dispersion(blocks=(2,), lam=0.25, tau=0.5),
        Dispersion(blocks=(0,), lam=0.5, tau=2.0, variant="cosine"),
    )
    for lane, extra in enumerate((0.0, 0.25 * single(1, 2, 0.5), 0.5 * single(2, 0, 2.0, "cosine"))):
        regression = float(torch.nn.functional.mse_loss(VELOCITY[lane], TARGET[lane]))
        assert float(got.velocity[lane]) == pytest.approx(regression, rel=1e-5)
        assert float(got.total[lane]) == pytest.approx(regression + extra, rel=1e-5)


def test_several_blocks_count_by_their_mean():
    got = losses(Dispersion(blocks=(0, 1, 2), lam=1.0, tau=0.5), Dispersion(), Dispersion())
    expected = sum(single(0, block, 0.5) for block in range(3)) / 3
    assert float(got.dispersive[0]) == pytest.approx(expected, rel=1e-5)


def test_lanes_without_dispersion_have_none_reported():
    got = losses(Dispersion(), Dispersion(lam=0.1), Dispersion())
    assert math.isnan(float(got.dispersive[0]))
    assert math.isnan(float(got.above_floor[2]))
    assert math.isfinite(float(got.dispersive[1]))
    assert torch.equal(losses(Dispersion(), Dispersion(), Dispersion()).total, got.velocity)


def test_blocks_are_those_of_lanes_that_disperse():
    dispersions = [Dispersion(blocks=(5,)), Dispersion(blocks=(0, 2), lam=0.1), Dispersion(blocks=(2,), lam=0.5)]
    assert TrainingLoss(dispersions, BATCH, ELEMENTS, CPU).blocks == {0, 2}
    assert TrainingLoss(dispersions[:1], BATCH, ELEMENTS, CPU).blocks == set()


def test_span_of_each_lane_is_that_of_its_own_variant_whatever_its_number_of_blocks():
    got = losses(
        Dispersion(blocks=(0, 1), lam=1.0, tau=0.5), Dispersion(lam=1.0, tau=2.0, variant="hinge"), Dispersion()
    )
    assert float(got.span[0]) == pytest.approx(math.log(6), rel=1e-6)
    assert float(got.span[1]) == pytest.approx(4 * (1 - 1 / 6), rel=1e-6)
    assert math.isnan(float(got.span[2]))


def test_reported_parts_carry_no_gradient():
    tokens = {block: part.clone().requires_grad_() for block, part in enumerate(TOKENS)}
    got = TrainingLoss([Dispersion(lam=0.1)] * 3, BATCH, ELEMENTS, CPU)(Output(VELOCITY, tokens), TARGET)
    assert got.total.requires_grad
    assert not any(part.requires_grad for part in got[1:])
