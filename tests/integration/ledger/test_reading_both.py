"""A record is read from the store and the outbox together: whatever is where, it is the whole record."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from sweeper.errors import SetupError, StudyError
from sweeper.ledger import events, has_undelivered
from sweeper.ledger.records_from_mlflow import TrialFiles, read_study
from sweeper.ledger.replay import Replay
from sweeper.records import StudyRecord
from tests.integration.ledger.ledger_life import (
    BASELINE,
    FACTS,
    GRID,
    LIFE,
    PNG,
    PROVENANCE,
    STUDY,
    Home,
    closed_port,
    rung,
    trial,
)


def written(path: Path, delivered: int) -> Path:
    """An outbox that holds the whole life, so many of its events delivered."""
    lines = [events.to_line(event).encode() + b"\n" for event in LIFE]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(lines))
    path.with_name(path.name + ".mark").write_text(str(sum(map(len, lines[:delivered]))))
    return path


@pytest.fixture
def whole(home: Home) -> StudyRecord:
    tracker = home.tracker()
    for event in LIFE:
        tracker.deliver(event)
    return read_study(home.uri, STUDY.name)


def test_whatever_is_delivered_the_record_is_the_whole_one(home: Home, whole: StudyRecord):
    for delivered in range(len(LIFE) + 1):
        room = home.room(f"after {delivered}")
        tracker = room.tracker()
        for event in LIFE[:delivered]:
            tracker.deliver(event)
        outbox = written(room.outbox, delivered)
        assert has_undelivered(outbox) == (delivered < len(LIFE))
        assert read_study(room.uri, room.experiment, outbox) == whole


def test_whose_weights_are_kept_is_in_the_record_wherever_it_is_read(home: Home, tmp_path: Path):
    with home.ledger() as ledger:
        ledger.study_opened(STUDY, PROVENANCE)
        for cell in (BASELINE, GRID):
            ledger.trial_started(trial(cell), attempt=1)
            ledger.rung(trial(cell), rung(800), FACTS)
            ledger.grid(trial(cell), PNG, step=800)
            if cell == GRID:
                (tmp_path / "weights").write_bytes(b"some")
                ledger.weights(trial(cell), tmp_path / "weights", step=800)
            ledger.trial_finished(trial(cell), "complete")
        assert ledger.flush(30), ledger.trouble
    record = read_study(home.uri, STUDY.name)
    assert [told.weights for told in record.trials] == ["", events.WEIGHTS]
    assert read_study(home.uri, STUDY.name, home.outbox) == record
    assert read_study(f"http://127.0.0.1:{closed_port()}", STUDY.name, home.outbox) == record
    assert Replay(record).record() == record


def test_events_that_arrive_while_the_store_is_read_do_no_harm(whole: StudyRecord):
    for delivered in range(len(LIFE)):
        again = Replay(whole)
        again.take(LIFE[delivered:])
        assert again.record() == whole


def test_where_the_store_does_not_answer_the_outbox_alone_is_the_record(
    home: Home, whole: StudyRecord, caplog: pytest.LogCaptureFixture
):
    outbox = written(home.outbox, 3)
    with caplog.at_level(logging.WARNING):
        found = read_study(f"http://127.0.0.1:{closed_port()}", STUDY.name, outbox)
    assert found == whole
    assert "does not answer" in caplog.text
    assert "read from this workspace alone" in caplog.text


def test_without_an_outbox_a_store_that_does_not_answer_is_said_to_be_so(tmp_path: Path):
    with pytest.raises(SetupError, match="does not answer"):
        read_study(f"http://127.0.0.1:{closed_port()}", STUDY.name, tmp_path / "none")
    with pytest.raises(StudyError, match="nothing is recorded"):
        read_study(f"sqlite:///{tmp_path}/none.db", STUDY.name, tmp_path / "none")


def test_a_torn_or_strange_line_is_passed_over(home: Home, whole: StudyRecord):
    outbox = written(home.outbox, 0)
    outbox.write_bytes(b"no event\n" + outbox.read_bytes() + b'{"kind": "trial_st')
    assert read_study(f"http://127.0.0.1:{closed_port()}", STUDY.name, outbox) == whole


def test_a_sample_grid_is_shown_before_it_is_delivered(home: Home):
    outbox = written(home.outbox, 0)
    file = outbox.parent / events.trial_file(trial(GRID).key, events.GRID)
    file.parent.mkdir(parents=True)
    file.write_bytes(PNG)
    silent = f"http://127.0.0.1:{closed_port()}"
    assert TrialFiles(silent, STUDY.name, outbox).read(trial(GRID).key, events.GRID) == PNG


def test_a_store_that_did_not_answer_for_one_file_is_not_tried_for_the_next(monkeypatch: pytest.MonkeyPatch):
    tried: list[str] = []

    def silent(uri: str) -> None:
        tried.append(uri)
        raise SetupError("it does not answer", "start it")

    monkeypatch.setattr("sweeper.ledger.records_from_mlflow.ensure_answers", silent)
    files = TrialFiles("http://127.0.0.1:1", STUDY.name)
    for spec in (trial(GRID), trial(BASELINE)):
        with pytest.raises(SetupError, match="does not answer"):
            files.read(spec.key, events.GRID)
    assert tried == ["http://127.0.0.1:1"]


def test_a_start_that_is_delivered_late_does_not_open_a_finished_trial_again(home: Home, whole: StudyRecord):
    home.tracker().deliver(events.TrialStarted(at_ms=4900, spec=LIFE[1].spec, attempt=2))
    assert read_study(home.uri, STUDY.name) == whole
    home.tracker().deliver(events.TrialStarted(at_ms=9000, spec=LIFE[1].spec, attempt=3))
    states = {one.spec.key: one.state for one in read_study(home.uri, STUDY.name).trials}
    assert states[LIFE[1].spec.key] == "running"
