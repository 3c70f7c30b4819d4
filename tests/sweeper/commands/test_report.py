"""A guide and the record it was made from."""

from __future__ import annotations

import pytest

from sweeper.commands.report import publish, publish_record
from sweeper.errors import DataError, StudyError
from sweeper.guide.assemble import assemble_guide
from sweeper.records import StudyRecord
from sweeper.render import OwnFiles, guide_files, write_guide
from sweeper.workspace import Workspace
from tests.sweeper.guide.study_records import grid_png, typical


@pytest.fixture
def reports(tmp_path):
    """A guide with its record beside it, as a run leaves them."""
    record = typical()
    folder = tmp_path / "reports" / record.study.name
    folder.mkdir(parents=True)
    write_guide(record, folder, grid_png)
    OwnFiles(folder).write("record.json", record.model_dump_json(by_alias=True) + "\n")
    return tmp_path / "reports"


def test_a_guide_is_written_again_from_the_record_beside_it_alone(reports):
    folder = reports / typical().study.name
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert "samples.png" in before
    written = publish_record(folder / "record.json", reports)
    assert written.guide == folder / "guide.md"
    after = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert after.keys() == before.keys()
    assert after["guide.json"] == before["guide.json"]
    assert after["samples.png"] == before["samples.png"]
    assert after["samples.json"] == before["samples.json"]
    assert b'"samples":{"seed":0' in after["guide.html"]
    assert b"samples.png" in after["guide.md"]
    assert StudyRecord.model_validate_json(after["record.json"]) == typical()


def test_a_study_that_is_recorded_nowhere_else_is_reported_from_there(reports, tmp_path):
    written = publish(typical().study.name, Workspace(tmp_path / "empty"), reports)
    assert written.study == typical().study
    assert not (tmp_path / "empty").exists()


def test_a_study_that_is_recorded_nowhere_at_all_is_said_to_be_so(tmp_path):
    with pytest.raises(StudyError, match="nothing is recorded"):
        publish("nobody", Workspace(tmp_path / "empty"), tmp_path)


@pytest.mark.parametrize("content", ["", "{}", "[" * 100_000, '{"study": 3}'])
def test_a_file_that_is_no_record_is_one_line(tmp_path, content):
    file = tmp_path / "record.json"
    file.write_text(content)
    with pytest.raises(DataError, match="no record that this version reads") as told:
        publish_record(file, tmp_path)
    assert "\n" not in told.value.message
    with pytest.raises(StudyError, match="is not there"):
        publish_record(tmp_path / "none.json", tmp_path)


def test_only_the_guide_of_a_guides_folder_is_attached_to_the_record(reports):
    folder = reports / typical().study.name
    for mine in ("notes.md", "my_follow_up.yaml", "photo.png"):
        (folder / mine).write_text("mine")
    names = {path.name for path in guide_files(folder)}
    assert {"guide.md", "guide.json", "record.json", "overview.png", "samples.png"} <= names
    assert not names & {"notes.md", "my_follow_up.yaml", "photo.png"}
    assert [name for name in names if name.endswith(".yaml")] == [assemble_guide(typical()).next_study.file]
