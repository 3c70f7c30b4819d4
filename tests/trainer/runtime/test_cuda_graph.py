"""The way to a captured function, with a stand-in for the graph; on a machine with a GPU, with the graph itself."""

import logging
import sys

import pytest
import torch

from trainer.runtime.cuda_graph import WARM_UPS, Captured, CapturedCall

CPU = torch.device("cpu")
on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


class Tape:
    """Records which functions it was given; a replay calls what was recorded, as a graph would do its work."""

    def __init__(self, fails: bool = False) -> None:
        self.events: list[str] = []
        self._fails = fails

    def aside(self, function):
        self.events.append("aside")
        return function()

    def record(self, function):
        self.events.append("record")
        if self._fails:
            raise RuntimeError("operation not permitted when stream is capturing")
        self._function, self._result = function, torch.full((3,), torch.nan)
        return self._result

    def replay(self):
        self.events.append("replay")
        done = self._function()
        if isinstance(done, torch.Tensor):
            self._result.copy_(done)


class Counter:
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> int:
        self.calls += 1
        return self.calls


def test_every_call_does_the_work_once_first_as_it_is_then_by_replay():
    tape, work = Tape(), Counter()
    captured = Captured(work, CPU, tape)
    for call in range(1, 7):
        captured()
        assert work.calls == call
    assert tape.events == ["aside"] * WARM_UPS + ["record"] + ["replay"] * (6 - WARM_UPS)
    assert captured.captured


def test_where_the_capture_fails_the_function_goes_on_as_it_is_with_one_warning(caplog):
    tape, work = Tape(fails=True), Counter()
    captured = Captured(work, CPU, tape, warm_ups=1)
    with caplog.at_level(logging.WARNING):
        results = [captured() for _ in range(5)]
    assert results == [1, 2, 3, 4, 5]
    assert tape.events == ["aside", "record"]
    assert not captured.captured
    assert len(caplog.records) == 1


def test_after_a_failed_capture_the_function_is_called_without_the_error_that_holds_what_it_made():
    errors = []
    captured = Captured(lambda: errors.append(sys.exc_info()[0]), CPU, Tape(fails=True), warm_ups=0)
    captured()
    assert errors == [None]


def test_without_a_gpu_the_function_is_called_as_it_is():
    work = Counter()
    captured = Captured(work, CPU)
    assert [captured() for _ in range(5)] == [1, 2, 3, 4, 5]
    assert not captured.captured


def test_a_captured_call_takes_new_inputs_and_gives_results_that_stay():
    tape = Tape()
    call = CapturedCall(lambda x, y: x * y, CPU, tape, warm_ups=1)
    inputs = [torch.full((3,), float(i)) for i in range(5)]
    two = torch.tensor(2.0).expand(3)
    results = [call(each, two) for each in inputs]
    assert [result.tolist() for result in results] == [[2.0 * i] * 3 for i in range(5)]
    assert tape.events == ["aside", "record"] + ["replay"] * 4


def test_inputs_of_another_shape_are_not_played_from_the_tape():
    tape = Tape()
    call = CapturedCall(lambda x: x + 1, CPU, tape, warm_ups=0)
    assert call(torch.zeros(3)).tolist() == [1.0] * 3
    assert call(torch.zeros(2)).tolist() == [1.0] * 2
    assert call(torch.ones(3)).tolist() == [2.0] * 3
    assert tape.events == ["record", "replay", "replay"]


@on_gpu
def test_a_graph_does_what_the_function_does():
    device = torch.device("cuda")
    weights, place = torch.zeros(5, device=device), torch.zeros(1, device=device)

    def work() -> torch.Tensor:
        place.add_(1)
        weights.add_(place)
        return weights * 2

    captured = Captured(work, device)
    for _ in range(8):
        result = captured()
    assert captured.captured
    assert weights.tolist() == [36.0] * 5
    assert result.tolist() == [72.0] * 5


@on_gpu
def test_what_asks_the_host_is_not_captured_and_goes_on(caplog):
    device = torch.device("cuda")
    total = torch.zeros(1, device=device)

    def work() -> None:
        total.add_(1)
        total.add_(float(total.item() * 0))

    captured = Captured(work, device)
    with caplog.at_level(logging.WARNING):
        for _ in range(6):
            captured()
    assert not captured.captured
    assert len(caplog.records) == 1
    assert torch.cuda.current_stream() == torch.cuda.default_stream()
    # A capture does nothing, so its failure leaves nothing half done but what the failed call had queued.
    assert total.item() == 6
