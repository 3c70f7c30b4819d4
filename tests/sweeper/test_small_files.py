"""Small files of a study in every broken shape: remade where that loses nothing, or refused with the remedy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sweeper.errors import ConflictError, SetupError
from tests.sweeper.coordinator.coordinators import claimed, open_coordinator, ready, study

__all__ = ["ready"]  # a fixture, used by being here


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
