import math

import pytest
import torch

from trainer.training.loss import Losses
from trainer.training.running_means import MEMORY, Tallies

CPU = torch.device("cpu")


def losses(velocity: list[float], above: list[float] | None = None, span: float = 1.0) -> Losses:
    given = torch.tensor(velocity)
    floor = torch.tensor(above) if above else torch.full_like(given, torch.nan)
    return Losses(total=given, velocity=given, dispersive=-given, above_floor=floor, span=torch.full_like(given, span))


def test_means_are_exponentially_weighted_and_unbiased_from_the_first_step():
    tallies, values = Tallies.zeros(1, CPU), [5.0, 1.0, 3.0]
    for value in values:
        tallies.add(losses([value]))
    weights = [MEMORY**age for age in (2, 1, 0)]
    expected = sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights)
    read = tallies.read()
    assert float(read["train_loss"]) == pytest.approx(expected, rel=1e-5)
    assert float(read["dispersive_loss"]) == pytest.approx(-expected, rel=1e-5)


def test_floor_share_counts_steps_within_one_percent_of_the_span():
    tallies = Tallies.zeros(2, CPU)
    for above in ([0.05, 5.0], [0.5, 0.01], [0.05, 3.0], [0.02, 2.0]):
        tallies.add(losses([1.0, 1.0], above, span=10.0))
    assert tallies.read()["floor_share"].tolist() == [0.75, 0.25]


def test_a_lane_without_dispersion_is_never_at_a_floor():
    tallies = Tallies.zeros(1, CPU)
    tallies.add(losses([1.0]))
    assert float(tallies.read()["floor_share"]) == 0
    assert math.isnan(float(tallies.read()["floor_distance"]))


def test_one_step_that_is_not_finite_is_remembered_for_that_lane_alone():
    tallies = Tallies.zeros(2, CPU)
    for value in (1.0, math.inf, 1.0):
        tallies.add(losses([1.0, value]))
    assert tallies.finite().tolist() == [True, False]


def test_reading_changes_nothing_and_state_comes_back():
    tallies = Tallies.zeros(3, CPU)
    tallies.add(losses([1.0, 2.0, 3.0]))
    first = tallies.read()
    back = Tallies.load(tallies.state(), CPU)
    tallies.add(losses([9.0, 9.0, 9.0]))
    assert torch.equal(back.read()["train_loss"], first["train_loss"])
    assert back.select(torch.tensor([2, 0])).read()["train_loss"].tolist() == [3.0, 1.0]
