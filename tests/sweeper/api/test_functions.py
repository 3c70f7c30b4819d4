"""The Python functions do what the commands do; running a whole study from a script is in tests/e2e."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import signal
import subprocess
import sys
import threading
import traceback
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import sweeper
from sweeper.api.functions import _heard, _showing
from sweeper.commands.run import Result
from sweeper.commands.status import Counts
from sweeper.records import Activity, Progress
from tests.integration.ledger.ledger_life import closed_port
from tests.places import ROOT, STUDIES

SMOKE = STUDIES / "smoke.yaml"
NULL = ROOT / "reports" / "null"


def test_importing_the_package_imports_nothing_heavy():
    heavy = "{'torch', 'pandas', 'ray', 'optuna', 'mlflow', 'pydantic', 'typer'} & set(sys.modules)"
    code = (
        f"import sys, sweeper; print({heavy}); sweeper.plan; import sweeper.planning.size; print(sweeper.plan.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\nplan\n"


def test_every_public_name_is_there_and_described():
    assert dir(sweeper) == sorted(sweeper.__all__)
    assert [name for name in sweeper.__all__ if not getattr(sweeper, name).__doc__] == []
    with pytest.raises(AttributeError, match="has no attribute 'train'"):
        sweeper.train  # noqa: B018


def test_a_study_is_loaded_with_changes_as_a_mapping_or_as_options():
    changes = {"name": "mine", "recipe.train.steps": 40, "space.tau": [0.2, 0.5], "confirm": {"top": 2}}
    study = sweeper.load(SMOKE, changes)
    assert (study.name, study.recipe.train.steps, study.space.tau, study.confirm.top) == ("mine", 40, (0.2, 0.5), 2)
    assert sweeper.load(str(SMOKE), [f"{name}={json.dumps(value)}" for name, value in changes.items()]) == study
    with pytest.raises(sweeper.StudyError, match=r"--set recipe.train.steps=-1"):
        sweeper.load(SMOKE, {"recipe.train.steps": -1})


def test_changes_may_be_any_text_a_path_or_numpys_numbers():
    changes = {"question": "why 😀?", "recipe.train.steps": np.int64(40), "recipe.train.lr": np.float64(0.25)}
    study = sweeper.load(SMOKE, changes)
    assert (study.question, study.recipe.train.steps, study.recipe.train.lr) == ("why 😀?", 40, 0.25)
    with pytest.raises(sweeper.StudyError, match="a object cannot be a value"):
        sweeper.load(SMOKE, {"question": object()})


def test_an_error_shows_no_password_even_with_its_causes(tmp_path: Path):
    nobody = f"127.0.0.1:{closed_port()}"
    for stores in ({"tracking": f"http://me:hunter2@{nobody}"}, {"store": f"postgresql://me:hunter2@{nobody}/x"}):
        with pytest.raises(sweeper.SetupError) as raised:
            sweeper.status(sweeper.load(SMOKE), tmp_path, **stores)
        assert "hunter2" not in "".join(traceback.format_exception(raised.value))


def test_a_study_made_in_python_is_published_without_a_password_or_not_at_all(tmp_path: Path):
    study = sweeper.load(SMOKE).model_copy(update={"tuning": "see https://me:hunter2@host/tuning"})
    with pytest.raises(sweeper.StudyError, match="study 'smoke' contains a URL with a password"):
        sweeper.run(study, tmp_path / ".sweeper", tmp_path / "reports")
    assert not list(tmp_path.rglob("*.json*"))


def test_a_module_of_a_users_in_the_place_of_ours_is_named(monkeypatch: pytest.MonkeyPatch):
    def taken() -> None:
        raise sweeper.SetupError("/home/me/trainer.py is imported in the place of sweeper's own package", "rename it")

    monkeypatch.setattr("sweeper.api.functions.check_own_code", taken)
    with pytest.raises(sweeper.SetupError, match=r"trainer\.py"):
        sweeper.load(SMOKE)


def test_a_status_is_data_and_words(tmp_path: Path):
    found = sweeper.status(sweeper.load(SMOKE), tmp_path / "none")
    assert not found.data.done
    assert set(found.data.states) == {"waiting"}
    assert repr(found) == found.data.describe()
    assert found._repr_markdown_() == f"```\n{found.text}\n```"


def test_a_guide_is_made_again_from_a_record_and_read(tmp_path: Path):
    guide = sweeper.report(NULL / "record.json", reports=tmp_path)
    assert guide.path == tmp_path / "null" / "guide.md"
    assert guide.verdict in guide.path.read_text(encoding="utf-8")
    assert repr(guide).splitlines()[0] == guide.verdict
    assert set(guide.tables) == {
        *("heuristics", "settings", "claims", "other_claims", "controls", "front", "rules"),
    }
    claims = guide.tables["claims"].set_index("key")
    said = {claim.key: claim for claim in guide.model.claims}
    assert claims["change_low"].to_dict() == {key: claim.change.low for key, claim in said.items() if claim.change}
    assert len(guide.trials()["trial"].unique()) == len(guide.record.trials)
    page = guide._repr_html_()
    assert page.startswith('<iframe srcdoc="')
    assert 'sandbox="allow-scripts"' in page
    assert page.count('"') == 8  # those of the page itself are escaped


def test_a_folder_without_a_guide_is_said_to_be_one(tmp_path: Path):
    with pytest.raises(sweeper.StudyError, match="holds no guide"):
        sweeper.open_guide(tmp_path)


def test_studies_are_compared_and_put_into_an_atlas(tmp_path: Path):
    both = [NULL, ROOT / "reports" / "lambda_tau"]
    compared = sweeper.compare(*both)
    assert compared.data.headline in compared._repr_markdown_()
    made = sweeper.atlas(both, tmp_path)
    assert made.text == (tmp_path / "atlas.md").read_text(encoding="utf-8")
    assert {name for scope in made.data.scopes for name in scope.studies} == {"null", "lambda_tau"}


def test_a_study_is_run_in_the_main_thread_alone(tmp_path: Path):
    raised: list[Exception] = []

    def elsewhere() -> None:
        try:
            sweeper.run(sweeper.load(SMOKE), tmp_path)
        except sweeper.SetupError as error:
            raised.append(error)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert "main thread" in str(raised[0])
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_was_stopped_raises_and_gives_the_signals_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    before = signal.getsignal(signal.SIGINT)

    def stopped(*_: object) -> Result:
        assert signal.getsignal(signal.SIGINT) is not before
        return Result(Counts({"waiting": 1}, done=False), interrupted=signal.SIGINT)

    monkeypatch.setattr("sweeper.commands.run.run", stopped)
    with pytest.raises(KeyboardInterrupt) as ended:
        sweeper.run(sweeper.load(SMOKE), tmp_path)
    assert signal.getsignal(signal.SIGINT) is before
    (said,) = ended.value.__notes__
    assert said.startswith("interrupted: 1 waiting\nto continue, run: ")


def test_a_remedy_stands_below_an_errors_message_in_a_traceback():
    for _ in range(2):
        with pytest.raises(sweeper.StudyError) as refused:
            sweeper.load("no/such/study.yaml")
        assert refused.value.__notes__ == [refused.value.remedy]


@pytest.mark.parametrize("by_variable", [False, True])
def test_a_run_tells_how_it_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_variable: bool):
    command = f"cat > '{tmp_path}/mail'"
    if by_variable:
        monkeypatch.setenv("SWEEPER_NOTIFY", command)
    monkeypatch.setattr("sweeper.commands.run.run", lambda *_: Result(Counts({"complete": 3}, done=True)))
    sweeper.run(sweeper.load(SMOKE), tmp_path, progress=lambda _: None, notify=None if by_variable else command)
    assert (tmp_path / "mail").read_text() == "smoke: all is done: 3 complete\n"


def test_in_a_notebook_one_output_changes(monkeypatch: pytest.MonkeyPatch):
    shown: list[str] = []

    class Handle:
        def update(self, what: object) -> None:
            shown.append(what.data)

    monkeypatch.setitem(sys.modules, "ipykernel", ModuleType("ipykernel"))
    monkeypatch.setattr("IPython.display.display", lambda *_, **__: Handle())
    worker = Activity(label="baseline", doing="training", step=3, until=9, trials=1, steps_per_s=5.0, loss=0.5)
    with _showing(None) as show:
        for _ in range(2):
            show(Progress(stage="screen", counts={"running": 1}, messages=("note",), activities=(worker,)))
    line = "screen: 0/1 trials · 1 running\n  training baseline: step 3/9, 5.00 steps/s, loss 0.500\nnote"
    assert shown == [line, line]


def test_a_run_without_a_guide_says_how_it_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    result = Result(Counts({"complete": 3, "failed": 1}, done=True), failures=("1 failed: no memory (a, seed 0)",))
    monkeypatch.setattr("sweeper.commands.run.run", lambda *_: result)
    run = sweeper.run(sweeper.load(SMOKE), tmp_path, progress=lambda _: None)
    assert (run.done, run.states, run.failures) == (True, {"complete": 3, "failed": 1}, result.failures)
    assert "no memory" in repr(run)
    assert "to run them again: sweeper.run(..., retry=True)" in repr(run)
    assert run._repr_html_() is None
    with pytest.raises(sweeper.StudyError, match="no guide of study 'smoke' was written"):
        run.trials()


def test_what_a_progress_function_prints_is_printed_while_tune_prints_nothing(capsys: pytest.CaptureFixture[str]):
    show = _heard(lambda seen: print(seen.stage))
    with contextlib.redirect_stdout(io.StringIO()):  # as sweeper.placement.tuner does
        show(Progress(stage="screen", counts={}))
        print("of Tune")
    assert capsys.readouterr().out == "screen\n"


def test_a_progress_function_that_fails_is_reported_once(caplog: pytest.LogCaptureFixture):
    def fails(_: Progress) -> None:
        raise ValueError("no such widget")

    show = _heard(fails)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            show(Progress(stage="screen", counts={}))
    assert [record.getMessage() for record in caplog.records] == [
        "the progress function failed, the run goes on: ValueError: no such widget"
    ]
