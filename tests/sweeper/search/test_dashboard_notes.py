"""What Optuna's own tools show of a stage: the objective's name, a note, and lines of one metric each."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest

from sweeper.records import Stage
from sweeper.search import Search, name_guide
from sweeper.search.dashboard_notes import LENGTH, METRIC_NAMES, NOTE_PART, NOTE_VERSION, note_of
from sweeper.study import Study
from tests.sweeper.search.search_specs import study, trials

FEWER = {"train": {"steps": 100}, "eval": {"samples": 500, "rung_samples": 250}}


def opened(url: str, of: Study) -> Search:
    return Search(url, of, "screen", trials())


def stored(url: str, stage: Stage = "screen") -> optuna.Study:
    return optuna.load_study(study_name=f"tiny.{stage}", storage=url)


def note(url: str) -> str:
    return str(stored(url)._storage.get_study_system_attrs(stored(url)._study_id)[f"{NOTE_PART}0"])


@pytest.mark.parametrize(("objective", "name"), [("fid", "fid_10k"), ("recall", "1/recall_10k")])
def test_the_objective_has_the_name_of_what_is_minimised(url: str, objective: str, name: str) -> None:
    opened(url, study(objective=objective)).close()
    assert stored(url).metric_names == [name]


def test_a_screen_says_that_it_is_no_claim_and_where_the_guide_is_once_there_is_one(url: str) -> None:
    opened(url, study()).close()
    assert "**Screen, no claim: " in note(url)
    assert "`sweeper report tiny` writes it" in note(url)
    name_guide(url, "tiny", "reports/tiny/guide.md")
    assert "**Screen, no claim: " in note(url)
    assert "guide: `reports/tiny/guide.md`." in note(url)
    opened(url, study()).close()
    assert "`reports/tiny/guide.md`" in note(url)
    assert "fresh seeds" in note_of("tiny", "confirm")


def test_a_users_own_note_stays(url: str) -> None:
    opened(url, study()).close()
    seen = stored(url)
    for name, value in ((f"{NOTE_PART}0", "mine"), (NOTE_VERSION, 2)):
        seen._storage.set_study_system_attr(seen._study_id, name, value)
    opened(url, study()).close()
    name_guide(url, "tiny", "reports/tiny/guide.md")
    assert note(url) == "mine"


def test_a_path_of_any_length_and_kind_fits() -> None:
    assert len(note_of("tiny", "screen", "x" * 5000)) <= LENGTH
    shown = note_of("tiny", "screen", "a`b\x1b[31m/http://me:hunter2@host/guide.md")
    assert "hunter2" not in shown
    assert "\x1b" not in shown
    assert shown.count("`") == 2


def test_a_search_without_a_store_gets_no_note(url: str, tmp_path: Path) -> None:
    name_guide(url, "tiny", "reports/tiny/guide.md")
    assert list(tmp_path.iterdir()) == []


def test_the_names_are_those_that_optuna_and_its_dashboard_read(url: str) -> None:
    dashboard = pytest.importorskip("optuna_dashboard", reason="an extra: pip install -e '.[dashboard]'")
    opened(url, study()).close()
    assert METRIC_NAMES == optuna.study.study._SYSTEM_ATTR_METRIC_NAMES
    assert dashboard.get_note(stored(url)) == note(url)


def test_a_rung_of_fewer_samples_is_no_point_of_a_line_with_the_full_metric(url: str) -> None:
    search = opened(url, study(recipe=FEWER))
    complete, pruned, running = search.claim(3)
    for trial in (complete, pruned, running):
        search.report(trial.key, 50, 0, 60.0)
    for trial in (complete, running):
        search.report(trial.key, 100, 1, 40.0)
    search.finish(complete.key, "complete", 40.0)
    search.finish(pruned.key, "pruned")
    before = search.rungs(), search.outcomes(), search.best()
    assert before[0][complete.key] == before[0][running.key] == {50: 60.0, 100: 40.0}
    search.close()
    first, second, third = stored(url).trials[:3]
    assert [trial.intermediate_values for trial in (first, second, third)] == 3 * [{50: 60.0}]
    assert (first.value, second.value, third.value) == (40.0, None, None)
    assert first.user_attrs["fid_500 at step 100"] == 40.0

    again = opened(url, study(recipe=FEWER))
    assert (again.rungs(), again.outcomes(), again.best()) == before
    again.report(running.key, 100, 1, 39.0)  # a rung reported before keeps its first value
    assert again.rungs()[running.key][100] == 40.0
    assert again.judge([running.key]) == frozenset()  # it is at its last rung
    again.close()


def test_a_failed_trial_that_runs_again_has_no_value_yet(url: str) -> None:
    search = opened(url, study(recipe=FEWER))
    (trial,) = search.claim(1)
    search.report(trial.key, 50, 0, 60.0)
    search.report(trial.key, 100, 1, 40.0)
    search.finish(trial.key, "failed", reason="out of luck")
    search.close()
    again = Search(url, study(recipe=FEWER), "screen", trials(), retry=True)
    assert again.rungs()[trial.key] == {}
    again.close()


def test_a_search_recorded_with_all_rungs_on_one_line_is_continued(url: str) -> None:
    opened(url, study(recipe=FEWER)).close()
    trial = stored(url).ask()
    for step, value in ((50, 60.0), (100, 40.0)):
        trial.report(value, step)
    again = opened(url, study(recipe=FEWER))
    assert again.rungs()[trial.user_attrs["key"]] == {50: 60.0, 100: 40.0}
    again.close()


def test_rungs_of_as_many_samples_are_one_line(url: str) -> None:
    same = {**FEWER, "eval": {"samples": 500, "rung_samples": 500}}
    search = opened(url, study(recipe=same))
    (trial,) = search.claim(1)
    search.report(trial.key, 50, 0, 60.0)
    search.report(trial.key, 100, 1, 40.0)
    search.close()
    assert stored(url).trials[0].intermediate_values == {50: 60.0, 100: 40.0}
