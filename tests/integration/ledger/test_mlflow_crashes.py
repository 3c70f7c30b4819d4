"""Whatever moment a process dies at, telling MLflow the rest again gives the record of an undisturbed study."""

from __future__ import annotations

import contextlib
import errno
from typing import Any, NoReturn

import pytest

from sweeper.errors import StudyError
from sweeper.ledger import events
from sweeper.ledger import mlflow_writer as tracking
from sweeper.ledger.records_from_mlflow import TrialFiles, read_study
from sweeper.ledger.replay import Replay
from sweeper.ledger.writer import Ledger
from sweeper.study.registration import Registration
from tests.integration.ledger.ledger_life import BASELINE, GRID, LIFE, PNG, PROVENANCE, STUDY, Home, snapshot, trial


class Dying:
    """MLflow's client in a process that dies before its n-th call."""

    def __init__(self, client: object, calls: int) -> None:
        self._client, self.left = client, calls

    def __getattr__(self, name: str) -> Any:
        if self.left == 0:
            raise ProcessLookupError
        self.left -= 1
        return getattr(self._client, name)


def test_replaying_any_suffix_changes_nothing(home: Home) -> None:
    tracker = home.tracker()
    for event in LIFE:
        tracker.deliver(event)
    once = snapshot(home)
    for start in range(len(LIFE)):
        tracker = home.tracker()
        for event in LIFE[start:]:
            tracker.deliver(event)
        assert snapshot(home) == once, f"replayed from event {start}"


def test_dying_before_any_call_to_mlflow_and_replaying_gives_the_same_record(home: Home) -> None:
    undisturbed = home.room("undisturbed")
    expected, calls = deliver_until_death(undisturbed, calls=10_000)
    assert calls > 2 * len(LIFE)
    for survived in range(calls):
        room = home.room(f"died-{survived}")
        deliver_until_death(room, survived)
        with contextlib.suppress(StudyError):  # nothing is recorded yet; what is, can be read at any moment
            read_study(room.uri, room.experiment)
        successor = room.tracker()
        for event in LIFE:
            successor.deliver(event)
        assert snapshot(room) == expected, f"died before call {survived}"


def deliver_until_death(home: Home, calls: int) -> tuple[dict[str, Any], int]:
    """Deliver a life by a process that survives so many calls; return what MLflow knows and the calls made."""
    tracker = home.tracker()
    dying = Dying(tracker._client, calls)
    tracker._client = dying  # type: ignore[assignment]
    try:
        for event in LIFE:
            tracker.deliver(event)
    except ProcessLookupError:
        assert dying.left == 0
    return snapshot(home), calls - dying.left


def test_a_ledger_that_died_at_any_event_leaves_the_rest_to_the_next(home: Home) -> None:
    lines = [events.to_line(event) + "\n" for event in LIFE]
    expected: dict[str, Any] = {}
    for delivered in (len(lines), *range(len(lines))):
        room = home.room(f"died-{delivered}")
        tracker = room.tracker()
        for event in LIFE[:delivered]:
            tracker.deliver(event)
        room.outbox.parent.mkdir(exist_ok=True)
        room.outbox.write_text("".join(lines) + '{"kind": "trial_sta')  # torn by the crash
        # One event less is marked than was delivered: the crash came between the two.
        mark = sum(len(line.encode()) for line in lines[: max(0, delivered - 1)])
        room.outbox.with_name(room.outbox.name + ".mark").write_text(str(mark))
        with room.ledger() as ledger:
            assert ledger.flush(30), ledger.trouble
        assert room.rejected() == []
        expected = expected or snapshot(room)
        assert snapshot(room) == expected, f"died after event {delivered}"


def test_trials_are_delivered_without_the_event_that_opened_their_study(home: Home) -> None:
    registration = Registration.of(STUDY, home.outbox.parent)
    lines = ["a damaged line", *map(events.to_line, LIFE[1:])]
    home.outbox.parent.mkdir(exist_ok=True)
    home.outbox.write_text("".join(line + "\n" for line in lines))
    with Ledger(home.uri, home.artifacts, home.outbox, home.experiment, registration=registration) as ledger:
        assert ledger.flush(30), ledger.trouble
    assert [set_aside["reason"] for set_aside in home.rejected()] == ["it is no event of this version"]
    record, whole = read_study(home.uri, STUDY.name), Replay()
    whole.take(LIFE)
    expected = whole.record()
    assert expected
    assert record.study == STUDY
    assert sorted(record.trials, key=str) == sorted(expected.trials, key=str)


def test_dying_between_a_grid_and_its_mark_loses_nothing(home: Home) -> None:
    with home.ledger() as ledger:
        ledger.study_opened(STUDY, PROVENANCE)
        ledger.grid(trial(GRID), PNG, step=800)
        assert ledger.flush(30), ledger.trouble
    opened = len(home.outbox.read_bytes().splitlines(keepends=True)[0])
    home.outbox.with_name(home.outbox.name + ".mark").write_text(str(opened))
    with home.ledger() as ledger:
        assert ledger.flush(30), ledger.trouble
    assert home.rejected() == []
    assert TrialFiles(home.uri, STUDY.name).read(trial(GRID).key, events.GRID) == PNG


def test_a_file_whose_copy_finds_no_room_is_left_where_it_lies_and_holds_nothing_up(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tracking.Tracker, "deliver_file", full)
    with home.ledger() as ledger:
        ledger.study_opened(STUDY, PROVENANCE)
        made = home.outbox.parent / "made"
        made.write_bytes(b"weights")
        ledger.weights(trial(BASELINE), made, step=800)
        ledger.trial_finished(trial(BASELINE), "complete")
        assert ledger.flush(30), ledger.trouble
    assert home.rejected() == []
    assert read_study(home.uri, STUDY.name).trials[0].state == "complete"
    assert TrialFiles(home.uri, STUDY.name, home.outbox).read(trial(BASELINE).key, events.WEIGHTS) == b"weights"


def test_an_older_outbox_delivers_the_grids_it_holds() -> None:
    old = events.to_line(events.FileMade(at_ms=1, spec=trial(GRID), step=8, file="grids/k/samples.png"))
    told = events.from_line(old.replace("file_made", "grid_drawn").encode())
    assert isinstance(told, events.FileMade)
    assert told.file == "grids/k/samples.png"
