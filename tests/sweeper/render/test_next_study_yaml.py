"""The study file beside a guide: what is replaced, what is removed, and what is a user's and stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeper.render.guide_folder import write_guide
from sweeper.render.next_study_yaml import write_proposed
from sweeper.study.yaml_files import read_study
from tests.places import ROOT
from tests.sweeper.guide.study_records import make_record, make_study, typical

OWN = "name: mine\nquestion: Is this kept?\n"


def write(folder: Path, of: object = None) -> None:
    write_guide(of or typical(), folder, lambda _: None)  # type: ignore[arg-type]


def test_a_guide_written_again_touches_no_file_of_the_users(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "my_follow_up.yaml").write_text(OWN)
    (tmp_path / "copied.yaml").write_text((tmp_path / "block_temp_next.yaml").read_text())
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe")
    (tmp_path / "folder.yaml").mkdir()
    write(tmp_path)
    write(tmp_path, make_record(make_study(), []))
    left = sorted(path.name for path in tmp_path.glob("*.yaml"))
    assert left == ["binary.yaml", "copied.yaml", "folder.yaml", "my_follow_up.yaml"]
    assert (tmp_path / "my_follow_up.yaml").read_text() == OWN


def test_a_proposal_that_was_changed_is_kept_and_the_new_one_gets_another_name(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path)
    proposed = tmp_path / "block_temp_next.yaml"
    changed = proposed.read_text().replace("lambda", "lambda ")
    proposed.write_text(changed)
    write(tmp_path)
    write(tmp_path)
    assert proposed.read_text() == changed
    new = tmp_path / "block_temp_next.new.yaml"
    assert read_study(new).name == "block_temp_next"
    assert caplog.messages == [f"{proposed} was changed by hand and is kept; the new one is {new.name}"] * 2
    proposed.unlink()
    write(tmp_path)
    assert [path.name for path in tmp_path.glob("*.yaml")] == [proposed.name]


def test_a_proposal_nobody_changed_is_replaced_and_removed_with_its_reason(tmp_path: Path) -> None:
    write_proposed(tmp_path, "a_next.yaml", OWN)
    write_proposed(tmp_path, "a_confirm.yaml", OWN)
    assert [path.name for path in tmp_path.iterdir()] == ["a_confirm.yaml"]
    write_proposed(tmp_path, None, "")
    assert list(tmp_path.iterdir()) == []


def test_the_shipped_proposals_are_as_they_were_written(tmp_path: Path) -> None:
    shipped = list((ROOT / "reports").glob("*/*.yaml"))
    assert len(shipped) >= 5
    for file in shipped:
        (tmp_path / file.name).write_text(file.read_text())
    write_proposed(tmp_path, None, "")
    assert list(tmp_path.iterdir()) == []
