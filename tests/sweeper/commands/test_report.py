"""A guide and the record it was made from."""

from __future__ import annotations

import pytest
import yaml

from sweeper.cli import app
from sweeper.cli.terminal import log_inertly
from sweeper.commands.report import publish, publish_record, published
from sweeper.errors import DataError, StudyError
from sweeper.guide.assemble import assemble_guide
from sweeper.ledger import Ledger
from sweeper.planning.trials import screen_trials
from sweeper.records import StudyRecord
from sweeper.render import OwnFiles, guide_files, write_guide
from sweeper.workspace import Workspace
from tests.conftest import copy_database
from tests.sweeper.guide.study_records import grid_png, typical
from tests.sweeper.test_small_files import BROKEN


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


@pytest.fixture
def recorded(tmp_path, tables):
    """A workspace whose record, of nothing yet, MLflow has; and where its guide goes."""
    place, study = Workspace(tmp_path / "home"), typical().study
    place.root.mkdir()
    copy_database(tables, place.root / "mlflow.db")
    with opened(place) as ledger:
        ledger.study_opened(study, typical().provenance)
        assert ledger.flush(30)
    return place, study, tmp_path / "reports"


def opened(place, **how):
    return Ledger(place.tracking_uri, place.artifacts, place.outbox(typical().study.name), typical().study.name, **how)


def test_a_guide_is_written_again_when_the_rest_of_its_record_arrives(recorded):
    place, study, reports = recorded
    written = publish(study.name, place, reports)
    assert written.delivered
    assert published(study, place, reports) == written.guide

    ledger = opened(place, at_once=False)  # MLflow does not answer meanwhile
    (spec, *_) = screen_trials(study)
    ledger.trial_started(spec, 1)
    ledger._outbox.close()
    assert published(study, place, reports) is None

    assert publish(study.name, place, reports).delivered
    assert published(study, place, reports) == written.guide


@pytest.mark.parametrize("shape", BROKEN)
def test_a_guide_is_written_again_where_what_is_remembered_of_it_is_broken(recorded, shape):
    place, study, reports = recorded
    publish(study.name, place, reports)
    BROKEN[shape](place.folder(study.name) / "published.json")
    assert published(study, place, reports) is None
    assert publish(study.name, place, reports).delivered
    assert published(study, place, reports) is not None


def test_report_says_where_the_file_differs_from_what_is_reported(recorded, tmp_path, capsys):
    place, study, reports = recorded
    file = tmp_path / "mine.yaml"
    changed = study.model_copy(update={"recipe": study.recipe.override({"train.lr": 0.001})})
    file.write_text(yaml.safe_dump(changed.model_dump(mode="json", by_alias=True, exclude_defaults=True)))
    with log_inertly():
        app.report(file, workspace=place.root, reports=reports)
    told = capsys.readouterr()
    assert f"{file} differs from the record, which is what is reported:" in told.err
    assert "recipe.train.lr: 0.008 -> 0.001" in told.err
    assert told.out.strip() == str(reports / study.name / "guide.md")
