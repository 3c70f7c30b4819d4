"""What other trackers get of a record; stand-ins for their libraries, the real ones in `tests/full/check_sinks.py`."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from sweeper.errors import SetupError
from sweeper.records import StudyRecord
from sweeper.sinks.build import open_sink
from sweeper.sinks.protocol import copies
from tests.sweeper.guide.study_records import typical


@pytest.fixture(scope="module")
def record() -> StudyRecord:
    return typical()


class Run:
    """A stand-in for a run of W&B's, or for a writer of TensorBoard's."""

    def __init__(self, **known: Any) -> None:
        self.known, self.logged, self.summary, self.ended = known, {}, {}, None

    def log(self, metrics: dict[str, object], step: int | None = None) -> None:
        self.logged[step] = metrics

    def finish(self, exit_code: int = 0) -> None:
        self.ended = exit_code


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    made: list[Run] = []

    def init(**known: Any) -> Run:
        made.append(Run(**known))
        return made[-1]

    module = ModuleType("wandb")
    module.__dict__.update(init=init, Settings=SimpleNamespace, Image=lambda path: path, Html=lambda page: page)
    monkeypatch.setitem(sys.modules, "wandb", module)
    return made


def test_a_copy_has_every_knob_that_acts_and_every_metric_of_every_rung(record: StudyRecord) -> None:
    made = copies(record)
    assert len(made) == len(record.trials)
    baseline = next(one for one in made if one.settings["role"] == "baseline")
    assert "tau" not in baseline.settings
    control = next(one for one in made if one.settings["role"] == "control")
    assert control.settings["train.weight_decay"] == 0.5
    grid = next(one for one in made if one.settings["role"] == "grid")
    assert {"block", "lambda", "tau", "stage", "seed"} <= grid.settings.keys()
    for copy, trial in zip(made, record.trials, strict=True):
        assert copy.rungs == tuple((rung.step, rung.metrics) for rung in trial.rungs)


def test_copies_of_a_stage_have_names_of_their_own(record: StudyRecord) -> None:
    names = [(copy.stage, copy.name) for copy in copies(record)]
    assert len({*names}) == len(names)


def test_wandb_gets_a_run_a_trial_offline_and_the_same_run_when_it_is_sent_again(record, runs, tmp_path) -> None:
    trials = copies(record)[:6]
    for _ in range(2):
        sink = open_sink("wandb", tmp_path, "block_temp")
        for trial in trials:
            sink.trial(trial)
    first, again = runs[:6], runs[6:]
    assert [one.known["id"] for one in first] == [one.known["id"] for one in again]
    assert len({one.known["id"] for one in first}) == 6
    assert {one.known["mode"] for one in runs} == {"offline"}
    for run, trial in zip(first, trials, strict=True):
        assert run.known["project"] == "block_temp"
        assert run.known["group"] == trial.stage
        assert run.known["config"]["seed"] == trial.seed
        assert run.logged == dict(trial.rungs)
        assert run.summary == {"state": trial.state}
        assert run.ended == 0
    assert sink.close() == f"wandb sync {tmp_path}/wandb/offline-run-*"


def test_wandb_shows_a_trial_that_failed_as_failed(record, runs, tmp_path) -> None:
    trial = copies(record)[0]._replace(state="diverged", rungs=())
    open_sink("wandb", tmp_path, "s").trial(trial)
    assert (runs[0].ended, runs[0].logged) == (1, {})


def test_wandb_gets_the_guide_as_a_page_and_its_pictures(runs, tmp_path) -> None:
    guide = tmp_path / "reports"
    guide.mkdir()
    (guide / "guide.html").write_text("<p>the guide</p>")
    (guide / "curves.png").write_bytes(b"")
    open_sink("wandb", tmp_path / "w", "s").guide(guide)
    assert runs[0].logged == {None: {"curves.png": str(guide / "curves.png"), "guide": "<p>the guide</p>"}}


@pytest.mark.parametrize(("kind", "module"), [("tensorboard", "tensorboard"), ("wandb", "wandb")])
def test_a_tracker_that_is_not_installed_is_one_line_with_the_remedy(kind, module, monkeypatch, tmp_path) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    with pytest.raises(SetupError, match="not installed") as raised:
        open_sink(kind, tmp_path, "s")
    assert raised.value.remedy == f"{sys.executable} -m pip install {kind}"


def test_a_folder_with_something_else_in_it_is_not_replaced_by_tensorboards(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr("sweeper.sinks.tensorboard._writer", lambda: Run)
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "thesis.tex").write_text("years of work")
    with pytest.raises(SetupError, match=r"thesis\.tex is not TensorBoard's"):
        open_sink("tensorboard", tmp_path, "s")
    assert (tmp_path / "s" / "thesis.tex").read_text() == "years of work"
