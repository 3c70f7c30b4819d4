"""Whose records a study's are: its own wherever it is continued, and never a stranger's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sweeper.commands.study_owner import registered
from sweeper.errors import ConflictError
from sweeper.guide.assemble import assemble_guide
from sweeper.ledger import Ledger, events, read_study
from sweeper.planning.trials import screen_trials
from sweeper.provenance import gather
from sweeper.search import Search
from sweeper.study import Study
from sweeper.study.registration import NOTE, Registration
from sweeper.study.sampling import SETS
from sweeper.workspace import Workspace
from tests.conftest import copy_database


def study(**changes: object) -> Study:
    given = {"name": "one", "question": "?", "space": {"block": [1], "lambda": [0.1]}, "confirm": {"top": 1}}
    return Study.model_validate(given | changes)


OTHER = {"recipe": {"train": {"steps": 500}}}


@pytest.fixture
def store(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/shared_search.db"


@pytest.fixture
def tracking(tmp_path: Path, tables: Path) -> str:
    copy_database(tables, tmp_path / "shared_mlflow.db")
    return f"sqlite:///{tmp_path}/shared_mlflow.db"


def begun(place: Workspace, of: Study) -> Registration:
    """Begin a study as a coordinator does: in the workspace, and in both stores."""
    found = registered(of, place)
    place.folder(of.name).mkdir(parents=True, exist_ok=True)
    place.register(found)
    search = Search(place.store_url, of, "screen", screen_trials(of))
    search.notes.write(NOTE, found.model_dump_json(by_alias=True))
    search.close()
    with Ledger(place.tracking_uri, place.artifacts, place.outbox(of.name), of.name, registration=found) as ledger:
        ledger.study_opened(of, gather("sweeper run one.yaml"), found.added)
        assert ledger.flush(30)
    return found


def test_a_study_keeps_its_id_with_other_words_and_resources(tmp_path, tracking, store):
    place = Workspace(tmp_path / "ws", tracking, store)
    first = begun(place, study())
    again = registered(study(question="Really?", resources={"slots": 1}), place)
    assert again.id == first.id
    assert again.study.question == "Really?"


@pytest.mark.parametrize("began", [*SETS, None])
def test_a_study_keeps_its_choice_of_how_samples_are_drawn_and_without_one_was_eager(began, tmp_path):
    first = Registration.of(study(), tmp_path).model_copy(update={"sampling": began})
    assert Registration.of(study(), tmp_path).sampling is None
    kept = Registration.parse(first.model_dump_json(by_alias=True), tmp_path)
    assert kept.continued(study(), confirming=False).sampling == (began or "eager fp32")


@pytest.mark.parametrize(("began", "goes_on"), [(True, "compiled fp32"), (False, "eager fp32"), (None, "eager fp32")])
def test_a_study_begun_before_bfloat16_keeps_its_choice_of_compiled_samples(began, goes_on, tmp_path):
    tree = json.loads(Registration.of(study(), tmp_path).model_dump_json(by_alias=True))
    del tree["sampling"], tree["study"]["recipe"]["eval"]["precision"]
    kept = Registration.parse(json.dumps({**tree, "compiled": began}), tmp_path)
    assert kept.id == tree["id"]
    assert kept.continued(study(), confirming=False).sampling == goes_on


def test_changed_settings_are_a_conflict_that_names_who_began_it(tmp_path, tracking, store):
    place = Workspace(tmp_path / "ws", tracking, store)
    begun(place, study())
    with pytest.raises(ConflictError, match=r"recipe\.train\.steps: 800 -> 500") as refused:
        registered(study(**OTHER), place)
    assert str(place.root) in refused.value.message


def test_what_was_never_measured_may_change_as_it_likes(tmp_path):
    place = Workspace(tmp_path / "ws")
    with place.lock("one"):
        place.register(registered(study(), place))
    assert registered(study(**OTHER), place).study.recipe.train.steps == 500


def test_another_machine_continues_a_study_on_shared_stores(tmp_path, tracking, store):
    first = begun(Workspace(tmp_path / "a", tracking, store), study())
    there = Workspace(tmp_path / "b", tracking, store)
    found = registered(study(screen={"seeds": 4}), there)
    assert (found.id, found.folder, found.added) == (first.id, first.folder, ("screen.seeds: 1 more",))


def test_another_study_of_the_name_on_a_shared_search_store_is_refused_and_its_owner_named(tmp_path, tracking, store):
    here = Workspace(tmp_path / "a", tracking, store)
    begun(here, study())
    with pytest.raises(ConflictError, match="was started with other settings") as refused:
        registered(study(**OTHER), Workspace(tmp_path / "b", tracking, store))
    assert str(here.root) in refused.value.message


def test_what_was_added_after_a_study_had_begun_is_in_its_record_and_in_its_guide(tmp_path, tracking, store):
    begun(Workspace(tmp_path / "a", tracking, store), study())
    begun(Workspace(tmp_path / "b", tracking, store), study(screen={"seeds": 4}))
    record = read_study(tracking, "one")
    assert record.added == ("screen.seeds: 1 more",)
    said = [item for item in assemble_guide(record).provenance if item.name == "added after it had begun"]
    assert [item.value for item in said] == ["screen.seeds: 1 more"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, "tracking store has a record of this study .*, and the search store has nothing of it"),
        (OTHER, "tracking store holds another study of this name"),
    ],
)
def test_another_study_of_the_name_on_a_shared_tracking_server_is_refused(tmp_path, tracking, changes, says):
    here = Workspace(tmp_path / "a", tracking)
    begun(here, study())
    with pytest.raises(ConflictError, match=says) as refused:
        registered(study(**changes), Workspace(tmp_path / "b", tracking))
    assert str(here.root) in refused.value.message


def test_two_workspaces_that_began_apart_cannot_meet_in_one_search_store(tmp_path, store):
    begun(Workspace(tmp_path / "a", store=store), study())
    own = Workspace(tmp_path / "b")
    begun(own, study())
    with pytest.raises(ConflictError, match="records of another study of this name") as refused:
        registered(study(), Workspace(tmp_path / "b", store=store))
    assert str(tmp_path / "a") in refused.value.message


def test_a_ledger_writes_nothing_into_another_studys_experiment(tmp_path, tracking):
    from sweeper.ledger.mlflow_writer import Tracker

    begun(Workspace(tmp_path / "a", tracking), study())
    with pytest.raises(ConflictError, match="tracking store holds another study"):
        Tracker(tracking, tmp_path / "artifacts", "one", Registration.of(study(), tmp_path))


def test_records_made_before_studies_had_ids_are_adopted(tmp_path, tracking, store):
    place = Workspace(tmp_path / "ws", tracking, store)
    old = study(confirm={"top": 1, "seeds": [100, 101, 102]})
    place.folder("one").mkdir(parents=True)
    (place.folder("one") / "study.json").write_text(old.model_dump_json(by_alias=True))
    Search(store, old, "screen", screen_trials(old)).close()
    Search(store, old, "confirm", []).close()
    with Ledger(tracking, place.artifacts, place.outbox("one"), "one") as ledger:
        ledger.study_opened(old, gather("sweeper run one.yaml"))
        assert ledger.flush(30)
    found = registered(study(confirm={"top": 1, "seeds": 3}), place)
    assert len(found.id) == 32
    with pytest.raises(ConflictError, match=r"confirm\.seeds: \[100, 101, 102\] -> 4"):
        registered(study(confirm={"top": 1, "seeds": 4}), place)


def test_a_study_whose_loss_was_computed_by_another_formula_is_not_continued(tmp_path):
    place = Workspace(tmp_path / "ws")
    contracting = study(space={"block": [1], "lambda": [0.1], "variant": ["l2", "covariance"]})
    found = begun(place, contracting)
    assert registered(contracting, place).id == found.id
    before = found.model_copy(update={"formulas": {"l2": 1}})  # as when 'covariance' was of raw features
    search = Search(place.store_url, contracting, "screen", [])
    search.notes.write(NOTE, before.model_dump_json(by_alias=True))
    search.close()
    with pytest.raises(ConflictError, match="'covariance' was computed by another formula"):
        registered(contracting, place)


def test_a_note_of_another_version_is_a_conflict_and_not_a_traceback(tmp_path, store):
    search = Search(store, study(), "screen", screen_trials(study()))
    search.notes.write(NOTE, '{"id": "from the future"}')
    search.close()
    with pytest.raises(ConflictError, match="another version wrote it"):
        registered(study(), Workspace(tmp_path / "ws", store=store))


def test_an_event_that_says_what_was_added_survives_the_outbox():
    opened = events.StudyOpened(at_ms=1, study=study(), provenance=gather("x"), added=("cells: 1 more",))
    assert events.from_line(events.to_line(opened).encode()) == opened
