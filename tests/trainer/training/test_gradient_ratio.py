"""How strong the Dispersive Loss is beside the objective."""

import pytest
import torch

from tests.trainer.training.cohorts import BASELINE, LANES, RECIPE
from trainer.recipe import Dispersion, Lane, MeanFlowRecipe
from trainer.training.gradient_ratio import GRADIENT_RATIO


def ratios(cohort) -> list[float | None]:
    cohort.advance(60)
    return [one.metrics.get(GRADIENT_RATIO) for one in cohort.measure()]


def of(lam: float, **more) -> Lane:
    return Lane(Dispersion(blocks=(1,), lam=lam, tau=0.5, **more), 0)


def test_every_lane_with_dispersion_has_a_ratio_at_the_last_rung_and_no_other(build):
    cohort = build(LANES)
    cohort.advance(30)
    assert all(GRADIENT_RATIO not in one.metrics for one in cohort.measure())
    found = ratios(cohort)
    assert found[0] is None
    assert all(value is not None and value > 0 for value in found[1:])


def test_the_ratio_is_proportional_to_lambda(build):
    cohort = build([BASELINE, of(1e-6), of(3e-6)])
    _, weak, strong = ratios(cohort)
    assert strong == pytest.approx(3 * weak, rel=0.02)  # so small a weight leaves the training as it is


def test_a_lanes_ratio_does_not_depend_on_who_else_is_in_the_cohort(build):
    together, alone = ratios(build([BASELINE, of(0.1), of(0.01)])), ratios(build([of(0.1)]))
    assert together[1] == pytest.approx(alone[0], rel=1e-3)


def test_a_memory_bank_is_gone_by_then_and_has_no_ratio(build):
    assert ratios(build([of(0.1, negatives=16)])) == [None]


def test_measuring_it_leaves_no_gradient_behind(build):
    cohort = build([of(0.1)])
    ratios(cohort)
    assert not any(part.requires_grad for part in cohort.state_dict().values())
    assert torch.is_grad_enabled()


def test_mean_flow_has_a_ratio_too(build):
    [found] = ratios(build([of(0.1)], RECIPE.model_copy(update={"objective": MeanFlowRecipe(kind="mean_flow")})))
    assert found is not None
    assert found > 0
