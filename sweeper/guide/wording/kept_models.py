"""Which models the study kept, and the commands that draw images from them."""

from __future__ import annotations

import itertools
import shlex

from sweeper.guide.schema.results import KeptModel
from sweeper.guide.wording.next_steps import study_file
from sweeper.records import StudyRecord, TrialRecord

PASSED_ON = ("--workspace", "--tracking")  # options of `run` that say where the weights lie


def kept_models(record: StudyRecord) -> tuple[KeptModel, ...]:
    """List the settings whose weights were kept, the confirm stage's first, each with the seeds of its trials."""
    kept = [trial for trial in record.trials if trial.state == "complete" and trial.weights]
    by_setting: dict[tuple[str, str], list[TrialRecord]] = {}
    for trial in sorted(kept, key=lambda trial: trial.spec.stage):  # 'confirm' comes before 'screen'
        by_setting.setdefault((trial.spec.stage, trial.spec.cell.key), []).append(trial)
    return tuple(_kept(record, own) for own in by_setting.values())


def _kept(record: StudyRecord, trials: list[TrialRecord]) -> KeptModel:
    trials = sorted(trials, key=lambda trial: trial.spec.seed)
    first = trials[0]
    return KeptModel(
        label=first.spec.cell.label,
        stage=first.spec.stage,
        seeds=tuple(trial.spec.seed for trial in trials),
        trials=tuple(trial.spec.key for trial in trials),
        artifact=first.weights,
        command=_command(record, first.spec.key),
    )


def _command(record: StudyRecord, trial: str) -> str:
    """Write the command that draws from a trial's weights, wherever the study was run."""
    words = ["sweeper", "sample", study_file(record), trial, *_places(record.provenance.command)]
    return shlex.join(words)


def _places(command: str) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError:  # not a command line of ours
        return []
    given = [[word, value] for word, value in itertools.pairwise(words) if word in PASSED_ON]
    joined = [[word] for word in words if word.startswith(tuple(f"{option}=" for option in PASSED_ON))]
    return [word for found in (*given, *joined) for word in found]
