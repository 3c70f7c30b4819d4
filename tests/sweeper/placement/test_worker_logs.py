"""What is logged in Ray's processes comes to the driver line by line, and a line that cannot be sent stops nobody."""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from ray.exceptions import RayActorError
from rich.console import Console

from sweeper.cli.terminal import log_everything, log_inertly
from sweeper.commands.progress import display
from sweeper.placement import worker_logs
from sweeper.placement.speaking_coordinator import SpeakingCoordinator
from sweeper.placement.worker_logs import MOST_LINES, Forwarding, LogLine, LogLines, forward
from sweeper.provenance import gather
from sweeper.records import Progress
from sweeper.text.verbosity import PACKAGES, forget_verbosity, set_verbosity
from tests.sweeper.coordinator.coordinators import paths, study


class Actor:
    """Stands for an actor's handle: calls are made at once."""

    def __init__(self) -> None:
        self.lines, self.add = LogLines(), self
        self.is_dead = False

    def remote(self, line: LogLine) -> None:
        if self.is_dead:
            raise RayActorError
        self.lines.add(line)


@pytest.fixture
def actor() -> Iterator[Actor]:
    yield Actor()
    for name in PACKAGES:
        logger = logging.getLogger(name)
        logger.handlers = [one for one in logger.handlers if not isinstance(one, Forwarding)]
    forget_verbosity()


def test_details_of_our_packages_are_sent_with_their_logger_level_and_process_and_no_others(actor: Actor) -> None:
    forward(actor)
    logging.getLogger("trainer.somewhere").debug("a detail of %d", 3)
    logging.getLogger("a.library").error("not ours")
    try:
        raise ZeroDivisionError("why")
    except ZeroDivisionError:
        logging.getLogger("sweeper.worker").exception("it failed")
    detail, failure = actor.lines.take()
    assert (detail.logger, detail.level) == ("trainer.somewhere", logging.DEBUG)
    assert detail.text.startswith("a detail of 3 (")
    assert f"process {os.getpid()})" in detail.text
    assert failure.level == logging.ERROR
    assert "ZeroDivisionError: why" in failure.text
    assert actor.lines.take() == []


def test_a_process_that_serves_another_run_sends_each_line_once(actor: Actor) -> None:
    forward(Actor())
    forward(actor)
    logging.getLogger("sweeper.worker").warning("once")
    assert len(actor.lines.take()) == 1


def test_the_coordinators_process_sends_its_lines_too(actor: Actor, tmp_path: Path) -> None:
    SpeakingCoordinator(study(), ["screen"], paths(tmp_path), gather("sweeper run tiny.yaml"), lines=actor)
    logging.getLogger("sweeper.ledger").info("delivered")
    assert [line.logger for line in actor.lines.take()] == ["sweeper.ledger"]


def test_nothing_is_sent_where_nobody_wants_it(actor: Actor) -> None:
    forward(None)
    logging.getLogger("sweeper.worker").warning("once")
    assert not any(isinstance(one, Forwarding) for one in logging.getLogger("sweeper").handlers)
    assert actor.lines.take() == []


def test_a_line_that_cannot_be_sent_is_lost_and_nothing_else(actor: Actor) -> None:
    forward(actor)
    actor.is_dead = True
    logging.getLogger("sweeper.worker").warning("lost")
    actor.is_dead = False
    logging.getLogger("sweeper.worker").warning("there")
    (line,) = actor.lines.take()
    assert line.text.startswith("there")


def test_what_nobody_takes_does_not_fill_the_memory() -> None:
    lines = LogLines()
    for number in range(MOST_LINES + 5):
        lines.add(LogLine("sweeper", logging.INFO, str(number)))
    taken = lines.take()
    assert (len(taken), taken[0].text) == (MOST_LINES, "5")


def test_the_driver_prints_lines_escaped_and_without_passwords_and_only_with_v(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = LogLine("sweeper.worker", logging.INFO, "see http://me:canary@host/ \x1b[31m (node, process 7)")
    monkeypatch.setattr(worker_logs, "call", lambda *_, **__: [said])

    class Lines:
        class take:  # noqa: N801
            remote = staticmethod(lambda: None)

    with log_inertly():
        set_verbosity()
        worker_logs._log(Lines)
        assert capsys.readouterr().err == ""
        set_verbosity(verbose=True)
        log_everything()
        worker_logs._log(Lines)
    assert capsys.readouterr().err.endswith(
        " INFO sweeper.worker: see http://me:***@host/ \\x1b[31m (node, process 7)\n"
    )


def test_lines_are_printed_above_a_live_display() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=120)
    with log_inertly():
        set_verbosity(verbose=True)
        log_everything()
        with display(console) as show:
            show(Progress(stage="screen", counts={"running": 1}))
            logging.getLogger("sweeper.worker").info("a line of a worker")
            assert "a line of a worker\n" in out.getvalue()
    forget_verbosity()


def test_without_v_no_process_is_started() -> None:
    set_verbosity()
    try:
        with worker_logs.worker_logs() as lines:
            assert lines is None
    finally:
        forget_verbosity()
