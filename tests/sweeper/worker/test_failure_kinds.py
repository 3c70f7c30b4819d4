"""What becomes of a cohort whose training raises: an outcome of its trials, a halt, or another process."""

import errno

import pytest
import torch

from sweeper.errors import ConflictError, StaleAttemptError, SweeperError
from sweeper.placement.tuner import _train
from sweeper.worker import cohort_run
from sweeper.worker.messages import Assignment
from trainer.errors import CompilerError, DataError

ASSIGNMENT = Assignment.model_construct(cohort="c", attempt=2)


class Line:
    """Hears what a worker tells the coordinator."""

    def __init__(self) -> None:
        self.told: list[tuple[object, ...]] = []

    def halt(self, *news: object) -> None:
        self.told.append(("halt", *news))

    def failed(self, *news: object) -> None:
        self.told.append(("failed", *news[:-1]))  # but for the traceback


def told(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    def fail(*_: object) -> None:
        raise error

    line = Line()
    monkeypatch.setattr(cohort_run, "prepare_process", lambda _: None)
    monkeypatch.setattr(cohort_run, "run", fail)
    _train(line, ASSIGNMENT)  # type: ignore[arg-type]
    return line.told


@pytest.mark.parametrize(
    ("error", "exit_code", "says"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), 3, "OSError: [Errno 28] No space left on device"),
        (DataError("gone.npz: no such file"), 4, "gone.npz: no such file"),
        (CompilerError("torch cannot compile the network: no g++"), 3, "torch cannot compile the network: no g++"),
        (ConflictError("another study's"), 5, "another study's"),
        (MemoryError("none left"), 3, "MemoryError: none left"),
        (torch.OutOfMemoryError("CUDA out of memory"), 3, "OutOfMemoryError: CUDA out of memory"),
        (torch.AcceleratorError("CUDA error: out of memory"), 3, "AcceleratorError: CUDA error: out of memory"),
    ],
)
def test_what_the_machine_lacks_halts_the_study(error, exit_code, says, monkeypatch):
    [(verb, cohort, reason, attempt)] = told(error, monkeypatch)
    assert (verb, cohort, attempt) == ("halt", "c", 2)
    assert isinstance(reason, SweeperError)
    assert (reason.exit_code, reason.message) == (exit_code, says)


@pytest.mark.parametrize("error", [ValueError("a shape"), RuntimeError("mat1 and mat2"), ZeroDivisionError("a step")])
def test_what_the_program_does_wrong_is_an_outcome(error, monkeypatch):
    assert told(error, monkeypatch) == [("failed", "c", f"{type(error).__name__}: {error}", 2)]


@pytest.mark.parametrize(
    "error",
    [
        torch.AcceleratorError("CUDA error: an illegal memory access was encountered"),
        RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
        StaleAttemptError("replaced"),
    ],
)
def test_a_lost_card_or_a_replaced_worker_ends_the_process_and_nothing_is_told(error, monkeypatch):
    with pytest.raises(type(error)):
        told(error, monkeypatch)
