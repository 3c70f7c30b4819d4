"""Small files of a study in every broken shape: remade where that loses nothing, or refused with the remedy."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from sweeper.coordinator.coordinator import Coordinator
from sweeper.errors import ConflictError, SetupError, StaleAttemptError
from tests.sweeper.cli.test_app import Run, run
from tests.sweeper.commands.simulated_runs import Placement, placement, prepared, written
from tests.sweeper.coordinator.coordinators import claimed, open_coordinator, ready, study

__all__ = ["placement", "ready", "run"]  # fixtures, used by being here


def as_folder(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.mkdir()


def holding(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


BROKEN = {
    "folder": as_folder,
    "empty": holding(b""),
    "cut": holding(b'{"wall_s": 12.'),
    "binary": holding(b"\xff\xfe\x00\x80" * 9),
    "nested": holding(b"[" * 100_000 + b"]" * 100_000),
    "of other types": holding(b'{"wall_s": {}, "fid_difference": "x", "started": 1, "first_step_at": []}'),
}


@pytest.mark.parametrize("shape", BROKEN)
def test_a_study_goes_on_over_broken_files_that_can_be_remade(tmp_path, shape):
    coordinator = open_coordinator(tmp_path, study())
    trials = claimed(coordinator).trials
    coordinator.close(interrupted=True, timeout=60)
    folder = tmp_path / "study"
    (lanes,) = folder.glob("cohorts/*/lanes.json")
    for file in (folder / "spent.json", folder / "outbox.jsonl.mark", lanes):
        BROKEN[shape](file)
    again = open_coordinator(tmp_path, study())
    handed = [trial.key for _ in trials for trial in claimed(again).trials]
    assert handed == [trial.key for trial in trials]
    assert again.close(interrupted=True, timeout=60)
    assert again.halted() is None


@pytest.mark.parametrize("shape", ["empty", "cut", "binary", "nested"])
def test_events_that_cannot_be_read_are_set_aside_and_the_study_goes_on(tmp_path, shape):
    open_coordinator(tmp_path, study()).close(interrupted=True, timeout=60)
    file = tmp_path / "study" / "outbox.jsonl"
    BROKEN[shape](file)
    with file.open("ab") as log:
        log.write(b"\n")
    coordinator = open_coordinator(tmp_path, study())
    claimed(coordinator)
    assert coordinator.close(interrupted=True, timeout=4)  # at once: what is no event will not become one


def test_a_folder_in_the_place_of_the_outbox_is_refused_with_the_remedy(tmp_path):
    (tmp_path / "study" / "outbox.jsonl").mkdir(parents=True, exist_ok=True)
    with pytest.raises(SetupError, match=r"outbox\.jsonl is a folder") as refused:
        open_coordinator(tmp_path, study())
    assert "move it away" in refused.value.remedy


@pytest.mark.parametrize("shape", [name for name in BROKEN if name != "of other types"])
def test_a_workspace_says_which_of_its_files_is_broken(tmp_path, shape):
    from sweeper.study.registration import Registration
    from sweeper.workspace import Workspace

    workspace = Workspace(tmp_path / "ws")
    with workspace.lock("tiny"):
        workspace.register(Registration.of(study(), workspace.root))
    BROKEN[shape](workspace.folder("tiny") / "holder")
    BROKEN[shape](workspace.folder("tiny") / "lock")
    BROKEN[shape](workspace.folder("tiny") / "study.json")
    expected = SetupError if shape == "folder" else ConflictError
    with pytest.raises(expected, match=r"lock cannot be locked|study\.json"), workspace.lock("tiny"):
        workspace.registration("tiny")


STUDY_FILES = (
    *("lock", "holder", "study.json", "outbox.jsonl", "outbox.jsonl.mark", "outbox.jsonl.rejected"),
    *("spent.json", "failures.log", "confirm.json", "published.json", "cohorts", "ray"),
)
FILES = (
    *("mlflow.db", "optuna.db", "cache", "seeds.jsonl", "seeds.lock", "artifacts", "studies", "studies/tiny"),
    *(f"studies/tiny/{name}" for name in STUDY_FILES),
)


def as_loop(path: Path) -> None:
    """A link to itself, which nobody can open."""
    away(path)
    path.symlink_to(path.name)


def as_text(path: Path) -> None:
    """A file, also where there should be a folder."""
    away(path)
    path.write_text("something else\n")


def as_only_folder(path: Path) -> None:
    away(path)
    path.mkdir()


def away(path: Path) -> None:
    if path.exists():
        path.rename(path.with_name(f"{path.name}.before"))


def stopped(coordinator: Coordinator) -> None:
    """Begin two cohorts, of which the first fails, and have the machine give up."""
    with contextlib.suppress(StaleAttemptError):
        life = coordinator.enter(0)
        if first := coordinator.next(0, life):
            coordinator.failed(first.cohort, "out of luck", first.attempt, "Traceback")
        if second := coordinator.next(0, life):
            coordinator.halt(second.cohort, SetupError("the disk is full"), second.attempt)


@pytest.mark.parametrize("kind", [as_only_folder, as_loop, as_text])
def test_whatever_lies_in_the_place_of_a_file_a_run_gets_to_its_workers_or_names_that_file(
    run: Run,
    placement: Placement,
    tmp_path: Path,
    tables: Path,
    kind: Callable[[Path], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sweeper.ledger.writer.TROUBLED_S", 0.5)
    begun = tmp_path / "begun"
    prepared(begun, tables)
    placement.workers = stopped
    file = written(study(resources={"cohort": 1}), tmp_path / "tiny.yaml")
    assert run("run", file, "--yes", "--workspace", begun).code == 3
    wrong = {}
    for name in FILES:
        workspace = tmp_path / "broken" / name.replace("/", "-")
        shutil.copytree(begun, workspace)
        kind(workspace / name)
        ran = run("run", file, "--yes", "--workspace", workspace)
        one_line = ran.err.count("error: ") == 1 and "Traceback" not in ran.err
        gets_on = "the study was stopped: the disk is full" in ran.err
        if not (one_line and (gets_on or str(workspace) in ran.err) and ran.code in (2, 3, 4, 5)):
            wrong[name] = (ran.code, ran.err)
    assert wrong == {}
