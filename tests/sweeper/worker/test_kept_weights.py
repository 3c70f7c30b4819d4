"""The weights of trials from the worker that trained them to the record, through crashes and full disks."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import torch
from PIL import Image

from sweeper.coordinator.coordinator import Coordinator
from sweeper.coordinator.input_hashes import hold
from sweeper.errors import DataError
from sweeper.guide.wording.cost_and_provenance import provenance_items
from sweeper.ledger import GRID, WEIGHTS, TrialFiles, read_study
from sweeper.planning.trials import keeps_weights
from sweeper.worker import cohort_run
from sweeper.worker.kept_weights import keep
from tests.sweeper.coordinator.coordinators import FACTS, begun, claimed, open_coordinator, ready, reported, study
from tests.sweeper.coordinator.test_finalists import Notes
from tests.sweeper.guide.study_records import make_record, make_study, typical
from trainer.data.dataset import load
from trainer.evaluation.evaluator import Evaluator
from trainer.recipe import DataRecipe
from trainer.sampling import kept_model as kept
from trainer.sampling.image_grid import encode_png
from trainer.sampling.rescoring import rescored

__all__ = ["ready"]  # a fixture, used by being here

CPU = torch.device("cpu")
SMALL = {
    "space": {"block": [0], "lambda": [0.1], "tau": [0.5]},
    "screen": {"seeds": [0], "pruner": "none", "rungs": [1]},
    "resources": {"cohort": 1},
}


def trained(coordinator: Coordinator) -> None:
    while (cohort := coordinator.claim()) is not None:
        cohort_run.run(coordinator, begun(coordinator, cohort))


@pytest.mark.parametrize(("keep", "stages"), [("none", []), ("finalists", ["confirm"]), ("all", ["screen", "confirm"])])
def test_what_is_kept_follows_from_the_stage(keep, stages):
    assert [stage for stage in ("screen", "confirm") if keeps_weights(study(keep=keep), stage)] == stages


def test_every_confirmed_trial_leaves_weights_that_draw_and_score_as_it_did(tmp_path):
    coordinator = open_coordinator(tmp_path, study(**SMALL, confirm={"top": 1, "seeds": [7, 8]}), ["screen", "confirm"])
    trained(coordinator)
    assert coordinator.close(interrupted=False, timeout=60)
    uri, outbox = f"sqlite:///{tmp_path}/mlflow.db", tmp_path / "study" / "outbox.jsonl"
    assert not (tmp_path / "study" / "files").exists() or not any((tmp_path / "study" / "files").iterdir())
    files = {
        trial.spec.key: (trial, TrialFiles(uri, "tiny", outbox).read(trial.spec.key, WEIGHTS))
        for trial in read_study(uri, "tiny").trials
    }
    assert {key.partition(".")[0] for key, (_, file) in files.items() if file} == {"confirm"}
    assert sum(file is not None for _, file in files.values()) == 4
    for key, (trial, file) in files.items():
        assert trial.weights == (WEIGHTS if file else "")
        if file is None:
            continue
        found = kept.read(file, key)
        assert (found.origin.trial, found.origin.dispersion) == (key, trial.spec.cell.dispersion)
        assert pixels(encode_png(found.draw(40, CPU), 10)) == pixels(TrialFiles(uri, "tiny", outbox).read(key, GRID))
    trial, file = files[f"confirm.{trial.spec.cell.key}.{trial.spec.seed}"]
    found = kept.read(file or b"", "")
    evaluator = Evaluator(found.origin.recipe.eval, load(DataRecipe()), tmp_path / "cache", CPU)
    assert rescored(found, evaluator)["fid_40"] == trial.rungs[-1].metrics["fid_40"]


def pixels(png: bytes | None) -> bytes:
    return Image.open(io.BytesIO(png or b"")).tobytes()


def test_weights_survive_a_crash_between_the_report_and_its_end(tmp_path):
    class CutError(Exception):
        pass

    class Cut:
        """A coordinator that is out of reach after the weights were written, before the last rung's report arrives."""

        def __init__(self, coordinator: Coordinator) -> None:
            self.started, self.beat, self.parts = coordinator.started, coordinator.beat, coordinator.parts
            self._coordinator = coordinator

        def report(self, *news: object) -> frozenset[str]:
            if news[-1]:
                raise CutError
            return self._coordinator.report(*news)  # type: ignore[arg-type]

    of = study(**SMALL, keep="all")
    broken = open_coordinator(tmp_path, of)
    first = claimed(broken)
    with pytest.raises(CutError):
        cohort_run.run(Cut(broken), first)  # type: ignore[arg-type]
    assert len(list(Path(first.weights or "").iterdir())) == 1
    broken.close(interrupted=True, timeout=60)
    again = open_coordinator(tmp_path, of)
    trained(again)
    assert again.close(interrupted=False, timeout=60)
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    for trial in read_study(uri, "tiny").trials:
        assert (trial.state, trial.note) == ("complete", "")
        assert kept.read(TrialFiles(uri, "tiny").read(trial.spec.key, WEIGHTS) or b"", "").origin.step == 8


def test_a_full_disk_loses_weights_and_no_trial_and_says_so(tmp_path, monkeypatch):
    # What training needs is set so high that no disk has it.
    monkeypatch.setattr(
        cohort_run, "keep", lambda path, origin, state, spare: keep(path, origin, state, spare + 10**18)
    )
    coordinator = open_coordinator(tmp_path, study(**SMALL, keep="all"))
    trained(coordinator)
    progress = coordinator.progress()
    assert progress.counts == {"complete": 2}
    lost = "weights lost: No space left on device"
    assert f"{lost} (2 so far)" in progress.messages
    assert coordinator.close(interrupted=False, timeout=60)
    assert {trial.note for trial in read_study(f"sqlite:///{tmp_path}/mlflow.db", "tiny").trials} == {lost}


def test_weights_that_are_reported_twice_are_recorded_once(tmp_path):
    coordinator = open_coordinator(tmp_path, study(**SMALL))
    assignment = claimed(coordinator)
    file = tmp_path / "file"
    for content in (b"first", None, b"again"):  # None: a report that came through, and is repeated
        if content:
            file.write_bytes(content)
        coordinator.report(assignment.cohort, 1, reported(assignment, 5.0, weights=str(file)), FACTS, last=False)
    coordinator.close(interrupted=True, timeout=60)
    assert TrialFiles(f"sqlite:///{tmp_path}/mlflow.db", "tiny").read(assignment.trials[0].key, WEIGHTS) == b"again"


def test_the_guide_says_which_weights_are_lost_and_what_training_started_from():
    record = typical()
    lost, *others = record.trials
    trials = (lost.model_copy(update={"note": "weights lost: No space left on device"}), *others)
    started = make_study(recipe={"model": {"init": "start.pt"}})
    facts = [FACTS.model_copy(update={"init_sha256": "a" * 64})]
    items = {item.name: item.value for item in provenance_items(make_record(started, list(trials)), facts)}
    label = f"{lost.spec.cell.label}, seed {lost.spec.seed}"
    assert items["weights not kept"] == f"{label}: weights lost: No space left on device"
    assert items["started from"] == f"start.pt, SHA-256 {'a' * 64}"
    plain = {item.name for item in provenance_items(record, [FACTS])}
    assert not plain & {"weights not kept", "started from"}


def test_a_study_belongs_to_the_file_it_starts_from():
    notes, recipe = Notes(), study().recipe
    hold(notes, recipe, FACTS)
    tuned = recipe.override({"model.init": "start.pt"})
    hold(notes, tuned, FACTS.model_copy(update={"init_sha256": "a" * 64}))
    with pytest.raises(DataError, match=r"start\.pt is not the file this study starts from: its hash is b+, it was a+"):
        hold(notes, tuned, FACTS.model_copy(update={"init_sha256": "b" * 64}))
