"""A study that an earlier version recorded goes on, from a checkpoint of its too.

recorded.tar.xz holds a study and its workspace, made at revision adda0f3 (2026-11-26, before the house was rebuilt):
its driver was killed while two trials were half trained. The tensors in it are of an 8 wide model, to be small.
"""

from __future__ import annotations

import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path

import torch
from safetensors.torch import load_file

from tests.e2e.workplace import Workplace
from trainer.data.dataset import load
from trainer.evaluation.evaluator import Evaluator
from trainer.recipe import Dispersion, Lane
from trainer.training.cohort import Cohort

MADE_IN = "/tmp/recorded/ws"


def moved(folder: Path) -> Workplace:
    """Unpack the record, and let MLflow find its files where they are now."""
    with tarfile.open(Path(__file__).with_name("recorded.tar.xz")) as archive:
        archive.extractall(folder, filter="data")
    with closing(sqlite3.connect(folder / "ws" / "mlflow.db")) as database, database:
        for table, column in (("experiments", "artifact_location"), ("runs", "artifact_uri")):
            database.execute(f"update {table} set {column} = replace({column}, ?, ?)", (MADE_IN, str(folder / "ws")))
    return Workplace(folder / "ws", folder / "study.yaml")


def test_a_study_recorded_before_goes_on(tmp_path: Path) -> None:
    place = moved(tmp_path)
    before = {trial.spec.key: trial for trial in place.record().trials}
    finished = {key for key, trial in before.items() if trial.state == "complete"}
    half = {key for key, trial in before.items() if trial.state == "running" and trial.rungs}
    assert (len(finished), len(half)) == (2, 2)

    done = place.run()

    assert done.returncode == 0, done.stderr
    after = {trial.spec.key: trial for trial in place.record().trials}
    assert {trial.state for trial in after.values()} == {"complete"}
    assert {key: after[key] for key in finished} == {key: before[key] for key in finished}
    assert {key: after[key].rungs[0] for key in half} == {key: before[key].rungs[0] for key in half}
    assert (place.reports / "recorded" / "guide.md").exists()


def test_a_checkpoint_written_before_is_one_to_go_on_from(tmp_path: Path) -> None:
    place = moved(tmp_path)
    recipe = place.record().study.recipe
    data, cpu = load(recipe.data), torch.device("cpu")
    saved = list(place.root.glob("studies/*/cohorts/*/checkpoint.safetensors"))
    assert len(saved) == 2
    for file in saved:
        cohort = Cohort(recipe, [Lane(Dispersion(), 0)], data, cpu, Evaluator(recipe.eval, data, tmp_path, cpu))
        state = load_file(file)
        cohort.load_state_dict(state)
        assert cohort.step == 200
        assert cohort.state_dict()["tally.train_loss"].equal(state["tally.velocity"])
        cohort.advance(201)
