"""`sweeper rm`: what is removed, what stays, and who may not be removed."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow import MlflowClient

from sweeper import cli
from sweeper.commands.rm import removal, remove
from sweeper.commands.run import run
from sweeper.errors import ConflictError, StudyError
from sweeper.ledger import read_study
from sweeper.search import state_counts
from sweeper.study import Study
from sweeper.workspace import Workspace
from tests.sweeper.commands.simulated_runs import Placement, placement, prepared, written
from tests.sweeper.coordinator.coordinators import study

__all__ = ["placement"]  # a fixture, used by being here


def named(name: str) -> Study:
    return study(
        name=name,
        space={"block": [0], "lambda": [0.1]},
        confirm={"top": 1, "seeds": 2},
        resources={"cohort": 1},
    )


def run_(of: Study, place: Workspace) -> None:
    run(of, place, place.root / "reports", lambda _: None, "sweeper run x.yaml")


@pytest.fixture
def place(tmp_path: Path, tables: Path, placement: Placement) -> Workspace:
    """A workspace with two studies."""
    del placement
    made = Workspace(prepared(tmp_path / "ws", tables))
    for name in ("gone", "stays"):
        run_(named(name), made)
    return made


def test_a_study_is_removed_from_both_stores_and_the_workspace_and_can_be_run_anew(place: Workspace) -> None:
    before, seeds = read_study(place.tracking_uri, "stays"), place.seeds.read_text()
    runs = [path for path in place.artifacts.iterdir() if path.is_dir()] if place.artifacts else []
    found = removal(named("gone"), place)
    assert found.trials == 8
    assert found.describe().startswith("gone: 8 trials in Optuna and MLflow")
    remove(named("gone"), place)
    assert place.studies() == ["stays"]
    assert state_counts(place.store_url, "gone") == {}
    with pytest.raises(StudyError, match="nothing is recorded"):
        read_study(place.tracking_uri, "gone")
    assert read_study(place.tracking_uri, "stays") == before
    assert place.artifacts is not None
    assert len([path for path in place.artifacts.iterdir() if path.is_dir()]) < len(runs)
    assert (place.root / "reports" / "gone" / "guide.md").exists()
    with pytest.raises(StudyError, match="is not in"):
        removal(named("gone"), place)

    run_(named("gone"), place)
    assert len(read_study(place.tracking_uri, "gone").trials) == 8
    assert place.seeds.read_text().startswith(seeds)  # fresh seeds that were seen are not fresh again
    remove(named("gone"), place)  # the name of a removed experiment is free each time
    names = [one.name for one in MlflowClient(place.tracking_uri).search_experiments(view_type=2)]
    assert len([name for name in names if name.startswith("gone (removed ")]) == 2


def test_an_experiment_that_was_renamed_and_not_deleted_is_deleted_by_the_next_call(
    place: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise OSError("no")

    client = MlflowClient(place.tracking_uri)
    with monkeypatch.context() as patched:
        patched.setattr(MlflowClient, "delete_experiment", fails)
        with pytest.raises(OSError, match="no"):
            remove(named("gone"), place)
    assert [one.name for one in client.search_experiments() if one.name.startswith("gone (removed")]
    remove(named("gone"), place)
    assert not [one.name for one in client.search_experiments() if one.name.startswith("gone")]


def test_done_in_part_the_same_call_does_the_rest(place: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise OSError("no")

    with monkeypatch.context() as patched:
        patched.setattr("sweeper.search.remove_study", fails)
        with pytest.raises(OSError, match="no"):
            remove(named("gone"), place)
    assert place.studies() == ["gone", "stays"]
    remove(named("gone"), place)
    assert place.studies() == ["stays"]
    assert state_counts(place.store_url, "gone") == {}


def test_a_study_that_runs_or_is_another_workspaces_is_not_removed(place: Workspace, tmp_path: Path) -> None:
    with place.lock("gone"), pytest.raises(ConflictError, match="is being run by process"):
        removal(named("gone"), place)
    other = Workspace(tmp_path / "other", tracking=place.tracking_uri)
    with pytest.raises(StudyError, match="is not in"):
        removal(named("gone"), other)
    registration = place.registration("gone")
    assert registration
    with other.lock("gone"):
        other.register(registration)
    with pytest.raises(ConflictError, match="and others may use its record") as guest:
        remove(named("gone"), other)
    assert str(other.folder("gone")) in guest.value.remedy
    registration = registration.model_copy(update={"folder": str(other.root)})
    with other.lock("gone"):
        other.register(registration.model_copy(update={"id": "another"}))
    with pytest.raises(ConflictError, match="another study of this name"):
        remove(named("gone"), other)
    by_store = Workspace(tmp_path / "other", store=place.store_url)
    with pytest.raises(ConflictError, match="another study of this name"):
        remove(named("gone"), by_store)
    assert len(read_study(place.tracking_uri, "gone").trials) == 8
    assert state_counts(place.store_url, "gone")


def test_a_study_that_was_run_on_other_stores_is_not_removed_without_them(place: Workspace) -> None:
    for name in ("mlflow.db", "optuna.db"):
        (place.root / name).rename(place.root.parent / name)
    with pytest.raises(ConflictError, match="neither store has anything of study 'gone', which was run") as refused:
        removal(named("gone"), place)
    assert refused.value.remedy == "give --tracking and --store as it was run with"
    assert place.studies() == ["gone", "stays"]


def test_the_command_asks_and_removes_nothing_where_nobody_can_answer(
    place: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = written(named("gone"), tmp_path / "gone.yaml")
    codes = []
    for given in ([str(file)], ["gone", "--yes"]):
        monkeypatch.setattr("sys.argv", ["sweeper", "rm", *given, "--workspace", str(place.root)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        codes.append(ended.value.code or 0)
    assert codes == [2, 0]
    said = capsys.readouterr().err
    assert "nothing was removed: nobody can be asked" in said
    assert "gone is removed" in said
    assert place.studies() == ["stays"]
