import math

import pytest
import torch

from trainer.regularisers.floor import at_floor
from trainer.training.running_means import MEMORY, RunningMeans

CPU = torch.device("cpu")
RECORDED, COUNTED = ("train_loss", "dispersive_loss", "floor_distance"), ("floor_share",)
# The names in checkpoints written before 2026-11-26.
ONCE = {
    "train_loss": "velocity",
    "dispersive_loss": "dispersive",
    "floor_distance": "above_floor",
    "floor_share": "floor_steps",
    "weight": "weight",
    "steps": "steps",
}


def zeros(lanes: int) -> RunningMeans:
    return RunningMeans.zeros(RECORDED, COUNTED, lanes, CPU)


def load(state: dict[str, torch.Tensor]) -> RunningMeans:
    return RunningMeans.load(RECORDED, COUNTED, state, CPU)


def add(means: RunningMeans, losses: list[float], above: list[float] | None = None, span: float = 1.0) -> None:
    given = torch.tensor(losses)
    floor = torch.tensor(above) if above else torch.full_like(given, torch.nan)
    recorded = {"train_loss": given, "dispersive_loss": -given, "floor_distance": floor}
    means.add(recorded, {"floor_share": at_floor(floor, torch.full_like(given, span))})


def same(one: RunningMeans, other: RunningMeans) -> bool:
    a, b = one.read(), other.read()
    return a.keys() == b.keys() and all(torch.equal(a[name].nan_to_num(-1), b[name].nan_to_num(-1)) for name in a)


def test_means_are_exponentially_weighted_and_unbiased_from_the_first_step():
    means, values = zeros(1), [5.0, 1.0, 3.0]
    for value in values:
        add(means, [value])
    weights = [MEMORY**age for age in (2, 1, 0)]
    expected = sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights)
    read = means.read()
    assert float(read["train_loss"]) == pytest.approx(expected, rel=1e-5)
    assert float(read["dispersive_loss"]) == pytest.approx(-expected, rel=1e-5)


def test_floor_share_counts_steps_within_one_percent_of_the_span():
    means = zeros(2)
    for above in ([0.05, 5.0], [0.5, 0.01], [0.05, 3.0], [0.02, 2.0]):
        add(means, [1.0, 1.0], above, span=10.0)
    assert means.read()["floor_share"].tolist() == [0.75, 0.25]


def test_a_lane_without_dispersion_is_never_at_a_floor():
    means = zeros(1)
    add(means, [1.0])
    assert float(means.read()["floor_share"]) == 0
    assert math.isnan(float(means.read()["floor_distance"]))


def test_a_lane_without_a_regulariser_reads_nan_and_leaves_the_others_theirs():
    means = zeros(2)
    for above in ([math.nan, 2.0], [math.nan, 4.0]):
        add(means, [1.0, 3.0], above)
    read = means.read()
    assert read["floor_distance"].isnan().tolist() == [True, False]
    assert float(read["floor_distance"][1]) == pytest.approx((2 * MEMORY + 4) / (MEMORY + 1))
    assert read["train_loss"].tolist() == pytest.approx([1.0, 3.0])
    assert means.finite().tolist() == [True, True]


def test_one_step_that_is_not_finite_is_remembered_for_that_lane_alone():
    means = zeros(2)
    for value in (1.0, math.inf, 1.0):
        add(means, [1.0, value])
    assert means.finite().tolist() == [True, False]


def test_reading_changes_nothing_and_state_comes_back():
    means = zeros(3)
    add(means, [1.0, 2.0, 3.0])
    first = means.read()
    back = load(means.state())
    add(means, [9.0, 9.0, 9.0])
    assert torch.equal(back.read()["train_loss"], first["train_loss"])
    assert back.select(torch.tensor([2, 0])).read()["train_loss"].tolist() == [3.0, 1.0]


def test_those_of_some_lanes_go_on_as_they_would_have_and_leave_the_rest_alone():
    whole, other = zeros(3), zeros(3)
    for means in (whole, other):
        add(means, [1.0, 2.0, 3.0], [0.001, 5.0, math.nan])
    some = whole.select(torch.tensor([2, 0]))
    add(some, [9.0, 7.0], [math.nan, 4.0])
    assert same(whole, other)
    add(whole, [7.0, 0.0, 9.0], [4.0, 0.0, math.nan])
    for name, value in some.read().items():
        torch.testing.assert_close(value, whole.read()[name][[2, 0]], equal_nan=True, rtol=0, atol=0)


def test_a_state_has_a_value_for_every_lane_under_its_name():
    means = zeros(3)
    add(means, [1.0, 2.0, 3.0])
    state = means.state()
    assert state.keys() == {*RECORDED, *COUNTED, "weight", "steps"}
    assert {part.shape for part in state.values()} == {(3,)}
    assert state["steps"].tolist() == [1, 1, 1]


def test_a_state_is_read_under_the_names_it_was_saved_by_before():
    means = zeros(2)
    add(means, [1.0, 2.0], [0.001, math.nan])
    add(means, [4.0, 8.0], [0.5, math.nan])
    saved = {ONCE[name]: part.clone() for name, part in means.state().items()}
    back = load(saved)
    assert same(back, means)
    for each in (back, means):
        add(each, [3.0, 5.0], [0.002, math.nan])
    assert same(back, means)
    assert saved["steps"].tolist() == [2, 2]


def test_what_is_loaded_is_a_copy():
    means = zeros(2)
    add(means, [1.0, 2.0])
    state = means.state()
    before = {name: part.clone().nan_to_num(-1) for name, part in state.items()}
    add(load(state), [5.0, 6.0])
    assert all(torch.equal(state[name].nan_to_num(-1), before[name]) for name in state)


def test_nothing_need_be_counted():
    means = RunningMeans.zeros(("train_loss",), (), 2, CPU)
    means.add({"train_loss": torch.tensor([1.0, 2.0])}, {})
    back = RunningMeans.load(("train_loss",), (), means.state(), CPU).select(torch.tensor([1]))
    assert {name: value.tolist() for name, value in back.read().items()} == {"train_loss": [2.0]}
