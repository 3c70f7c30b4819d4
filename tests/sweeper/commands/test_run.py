"""A study run, grown, carried to another machine and written up, with workers that train nothing."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import optuna
import pytest

from sweeper.commands.report import read_record
from sweeper.commands.run import Result, run
from sweeper.coordinator.coordinator import Coordinator
from sweeper.errors import ConflictError, DataError, SetupError, StaleAttemptError, StudyError, UnavailableError
from sweeper.ledger import read_study
from sweeper.provenance import gather
from sweeper.records import StudyRecord, TrialSpec
from sweeper.study import Study
from sweeper.workspace import Workspace
from tests.conftest import copy_database
from tests.sweeper.commands.simulated_runs import Placement, flat, placement, prepared, simulated
from tests.sweeper.coordinator.coordinators import FACTS, reported, study

__all__ = ["placement"]  # a fixture, used by being here

SPACE = {"block": [0], "lambda": [0.1]}


def confirming(**changes: object) -> Study:
    return study(**{"space": SPACE, "confirm": {"top": 1, "seeds": 2}, "resources": {"cohort": 1}, **changes})


def went(of: Study, place: Workspace, **how: object) -> Result:
    reports = place.root.parent / "reports"
    return run(of, place, reports, lambda _: None, "sweeper run tiny.yaml", **how)  # type: ignore[arg-type]


def recorded(place: Workspace) -> StudyRecord:
    return read_study(place.tracking_uri, "tiny")


def guide(place: Workspace) -> Path:
    return place.root.parent / "reports" / "tiny" / "guide.md"


@pytest.fixture
def place(tmp_path: Path, tables: Path) -> Workspace:
    return Workspace(prepared(tmp_path / "ws", tables))


@pytest.fixture
def trained(placement: Placement) -> list[str]:
    """The keys of trials that were trained, once a rung."""
    keys: list[str] = []

    def value(spec: TrialSpec, step: int) -> float:
        keys.append(spec.key)
        return flat(spec, step)

    placement.workers = simulated(value)
    return keys


def broken_off(coordinator: Coordinator) -> None:
    """Train one cohort to its end, and have the machine give up in the next one."""
    life = coordinator.enter(0)
    for _ in range(2):
        given = coordinator.next(0, life)
        assert given
        coordinator.started(given.cohort, given.attempt, FACTS)
        for step in given.rungs:
            last = step == given.rungs[-1]
            coordinator.report(given.cohort, given.attempt, reported(given, 7.0, step), FACTS, last=last)
    given = coordinator.next(0, life)
    assert given
    coordinator.halt(given.cohort, SetupError("OSError: disk full"), given.attempt)


def reading_other_data(coordinator: Coordinator) -> None:
    given = coordinator.next(0, coordinator.enter(0))
    assert given
    with pytest.raises(StaleAttemptError):
        coordinator.started(given.cohort, given.attempt, FACTS.model_copy(update={"data_hash": "other"}))


def test_a_study_that_grows_keeps_its_trials_trains_the_new_ones_and_says_what_was_added(
    place: Workspace, trained: list[str]
) -> None:
    assert went(confirming(), place, only="screen").exit_code == 0
    before = {trial.spec.key: trial for trial in recorded(place).trials}
    assert {*trained} == before.keys()
    assert len(before) == 4

    trained.clear()
    grown = confirming(space={**SPACE, "block": [0, 1]}, screen={"seeds": [0, 1, 2], "pruner": "none"})
    assert went(grown, place).exit_code == 0
    record = recorded(place)
    screened = {trial.spec.key: trial for trial in record.trials if trial.spec.stage == "screen"}
    assert len(screened) == 9
    assert {key: screened[key] for key in before} == before
    assert {*trained} == {trial.spec.key for trial in record.trials} - before.keys()
    assert record.study == grown
    assert {*record.added} == {"screen.seeds: 1 more", "space.block: 1 more"}
    assert "added after it had begun" in guide(place).read_text()
    assert "screen.seeds: 1 more" in guide(place).read_text()

    trained.clear()
    again = confirming(space={**SPACE, "block": [0, 1]}, screen={"seeds": [0, 1, 2, 3], "pruner": "none"})
    with pytest.raises(ConflictError, match=r"screen\.seeds"):
        went(again, place)
    assert trained == []


def test_a_second_workspace_on_shared_stores_trains_what_the_first_left_and_nothing_twice(
    tmp_path: Path, tables: Path, placement: Placement, trained: list[str]
) -> None:
    copy_database(tables, tmp_path / "shared.db")
    stores = (f"sqlite:///{tmp_path}/shared.db", f"sqlite:///{tmp_path}/search.db")
    here, there = (Workspace(tmp_path / name / "ws", *stores) for name in ("a", "b"))
    good, placement.workers = placement.workers, broken_off
    with pytest.raises(SetupError, match="the study was stopped: OSError: disk full"):
        went(confirming(), here)
    before = {trial.spec.key: trial for trial in recorded(here).trials if trial.state == "complete"}
    assert len(before) == 2

    placement.workers = reading_other_data
    with pytest.raises(DataError, match="the study was stopped"):
        went(confirming(), there)

    placement.workers = good
    assert went(confirming(), there).exit_code == 0
    record = recorded(there)
    states = [trial.state for trial in record.trials]
    assert states == ["complete"] * 8
    after = {trial.spec.key: trial for trial in record.trials}
    assert {key: after[key] for key in before} == before
    assert {*trained} == after.keys() - before.keys()
    assert guide(there).exists()
    ids = {known.id for place in (here, there) if (known := place.registration("tiny"))}
    assert len(ids) == 1

    trained.clear()
    assert went(confirming(), here).exit_code == 0
    assert trained == []
    assert guide(here).exists()


def test_a_guide_is_made_while_the_server_is_silent_and_made_again_once_it_answers(
    place: Workspace, placement: Placement, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def silent(uri: str) -> None:
        raise UnavailableError(f"the tracking server {uri} does not answer: timed out", "start it")

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr("sweeper.ledger.writer.TROUBLED_S", 0.5)
        for module in ("writer", "records_from_mlflow"):
            meanwhile.setattr(f"sweeper.ledger.{module}.ensure_answers", silent)
        first = went(study(), place)
    assert (first.exit_code, first.delivered) == (0, False)
    assert "the record is not complete in MLflow yet; the same command delivers the rest" in first.summary("x")
    assert "does not answer: timed out; the record is read from this workspace alone" in caplog.text
    beside = read_record(guide(place).with_name("record.json"))
    assert [trial.state for trial in beside.trials] == ["complete"] * 6
    guide(place).unlink()

    second = went(study(), place)
    assert (second.exit_code, second.delivered) == (0, True)
    assert guide(place).exists()
    delivered = recorded(place).trials
    assert len(delivered) == 6
    assert {trial.spec.key: trial for trial in delivered} == {trial.spec.key: trial for trial in beside.trials}
    assert placement.runs == 1
    assert went(study(), place).guide == guide(place)


def test_a_run_records_where_its_figures_come_from(place: Workspace, placement: Placement) -> None:
    went(study(), place)
    source = recorded(place).provenance
    assert source.command == "sweeper run tiny.yaml"
    assert source.commit == gather("x").commit
    assert source.versions["sweeper"] == version("dispersive-sweeper")
    assert source.versions["torch"] == version("torch")
    assert read_record(guide(place).with_name("record.json")).provenance == source
    text = guide(place).read_text()
    assert source.commit in text
    assert f"sweeper {version('dispersive-sweeper')}" in text
    assert placement.runs == 1


def test_a_screen_that_failed_whole_spends_no_fresh_seed_and_retry_goes_on(
    placement: Placement, place: Workspace
) -> None:
    def all_fail(coordinator: Coordinator) -> None:
        life = coordinator.enter(0)
        while given := coordinator.next(0, life):
            coordinator.failed(given.cohort, "AssertionError: in forward", given.attempt)

    placement.workers = all_fail
    of = confirming()
    with pytest.raises(StudyError, match="every trial of the screen failed, so nothing is confirmed"):
        went(of, place)
    assert {trial.spec.stage for trial in recorded(place).trials} == {"screen"}
    placement.workers = simulated()
    assert went(of, place, retry=True).exit_code == 0
    assert {trial.state for trial in recorded(place).trials} == {"complete"}


def test_both_stages_name_the_guide_in_the_search(place: Workspace, trained: list[str]) -> None:
    went(confirming(), place)
    assert trained
    for stage in ("screen", "confirm"):
        seen = optuna.load_study(study_name=f"tiny.{stage}", storage=place.store_url)
        notes = seen._storage.get_study_system_attrs(seen._study_id)
        assert f"`{guide(place)}`" in notes["dashboard:note_str:0"]
        assert "no claim" in notes["dashboard:note_str:0"]
