"""A study of cohorts that part and join, killed while lanes are parked: none is lost, and each trained as if alone."""

import contextlib
import os
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from sweeper.coordinator.cohort_store import CohortFolder, StoredCohort
from sweeper.records import TrialRecord
from sweeper.study.yaml_files import read_study
from tests.e2e.workplace import Workplace, children, until
from trainer.data.dataset import load
from trainer.evaluation.evaluator import Evaluator
from trainer.recipe import Lane, Recipe
from trainer.training.cohort import Cohort

STUDY = """
name: refilled
question: Does a study whose cohorts part survive?
recipe:
  data: {name: digits}
  model: {width: 16, depth: 2, heads: 2}
  train: {steps: 120, batch: 16, warmup: 4}
  eval: {samples: 200, batch: 100, nfe: 2, probe: 16, full_samples: none}
space: {block: [0, 1], lambda: [0.01, 0.1], tau: [0.5, 1]}
screen: {seeds: 3, rungs: [0.25, 0.5, 1], pruner: halving, audit_fraction: 0}
resources: {cohort: 4, slots: 2}
"""
TRIALS, STEPS = 27, [30, 60, 120]


def cohorts(place: Workplace) -> list[StoredCohort]:
    """Return the cohorts that are not finished, as they lie on disk."""
    root = place.root / "studies" / place.name / "cohorts"
    folder = CohortFolder(root)
    return [cohort for path in root.glob("*/") if (cohort := folder.read(path.name))]


def parked(place: Workplace) -> bool:
    return any(cohort.parked for cohort in cohorts(place))


def joined(place: Workplace) -> set[str]:
    return {cohort.name for cohort in cohorts(place) if cohort.sources}


def alone(recipe: Recipe, trials: Sequence[TrialRecord], cache: Path) -> list[float]:
    """Return the objective of trials that train one after the other, without a study."""
    data, device, found = load(recipe.data), torch.device("cpu"), []
    evaluator = Evaluator(recipe.eval, data, cache, device)
    for trial in trials:
        cohort = Cohort(recipe, [Lane(trial.spec.cell.dispersion, trial.spec.seed)], data, device, evaluator)
        cohort.advance(recipe.train.steps)
        found.append(cohort.measure()[0].metrics[recipe.eval.recorded("fid")])
    return found


def test_lanes_that_are_parked_or_joined_when_everything_is_killed_end_as_if_they_had_trained_alone(
    tmp_path, extractor_cache
):
    file = tmp_path / "refilled.yaml"
    file.write_text(STUDY)
    (tmp_path / "cache").symlink_to(extractor_cache)  # the extractor is not what is tested
    place = Workplace(tmp_path, file)
    run = place.start()
    until(lambda: parked(place), run)
    workers = [pid for pid, title in children(run.pid) if title.startswith("ray::ImplicitFunc")]  # Tune's name
    before = joined(place)
    os.kill(workers[0], signal.SIGKILL)
    until(lambda: parked(place) and bool(joined(place) - before), run)
    family = [pid for pid, _ in children(run.pid)]
    run.kill()
    run.wait()
    assert parked(place)
    assert joined(place)

    last = place.run()
    assert last.returncode == 0, last.stderr
    assert place.status()["agree"] is True
    assert cohorts(place) == []
    trials = place.record().trials
    assert len(trials) == TRIALS
    assert {trial.state for trial in trials} == {"complete", "pruned"}
    complete = [trial for trial in trials if trial.state == "complete"]
    assert all([rung.step for rung in trial.rungs] == STEPS for trial in complete)
    some = complete[-4:]
    recorded = [trial.rungs[-1].metrics["fid_200"] for trial in some]
    assert recorded == pytest.approx(alone(read_study(file).recipe, some, extractor_cache), rel=1e-3)
    for pid in family:  # what a killed driver leaves behind ends by itself, in a minute
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
