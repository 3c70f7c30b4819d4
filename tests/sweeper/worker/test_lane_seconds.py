from itertools import count

import pytest
import torch

from sweeper.worker import lane_seconds
from sweeper.worker.lane_seconds import LaneSeconds


@pytest.fixture(autouse=True)
def clocks(monkeypatch):
    """Wall time passes at 8 seconds a look, the processor's at 4."""
    monkeypatch.setattr(lane_seconds.time, "perf_counter", count(0, 8).__next__)
    monkeypatch.setattr(lane_seconds.time, "process_time", count(0, 4).__next__)


def test_seconds_are_shared_by_the_lanes_that_lived_through_them_and_add_up_to_all():
    seconds = LaneSeconds(4)
    for kind, living in (("train_s", (0, 1, 2, 3)), ("eval_s", (0, 1, 2, 3)), ("train_s", (1, 3))):
        with seconds.counting(kind, living):
            pass
    assert seconds.of(0) == {"train_s": 2, "eval_s": 2, "cpu_s": 2}
    assert seconds.of(3) == {"train_s": 6, "eval_s": 2, "cpu_s": 4}
    assert seconds.rows(range(4)).sum(0).tolist() == [16, 8, 12]


def test_a_cohort_goes_on_from_the_seconds_of_its_lanes():
    seconds = LaneSeconds(3)
    seconds.load([0, 2], torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], dtype=torch.float64))
    assert seconds.of(2) == {"train_s": 4, "eval_s": 5, "cpu_s": 6}
    assert seconds.of(1) == {"train_s": 0, "eval_s": 0, "cpu_s": 0}
    assert seconds.rows([0, 2]).tolist() == [[1, 2, 3], [4, 5, 6]]
