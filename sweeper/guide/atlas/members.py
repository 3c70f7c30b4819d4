"""The studies of an atlas: which can be used, which share a scope or a data set, and why others are left out."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sweeper.errors import DataError
from sweeper.guide.analysis.stage_table import Evidence, evidence
from sweeper.guide.assemble import assemble_guide
from sweeper.guide.atlas.schema import Unused
from sweeper.guide.schema.guide import Guide
from sweeper.planning.trials import screen_trials
from sweeper.records import BASELINE_KEY, FINAL_STATES, StudyRecord
from trainer.recipe import METRICS
from trainer.recipe.identity import identity

# Fields that may differ between two studies of one scope: those of evaluation, not of training.
MEASURING = {"eval"}
# Fields of the data that select a part of the same images.
PART = {"limit", "flip", "holdout"}


class Member(NamedTuple):
    """A study in use; `scope` and `data` are numbers from 1."""

    record: StudyRecord
    known: Evidence
    guide: Guide
    scope: int
    data: int

    @property
    def name(self) -> str:
        """The study's name."""
        return self.record.study.name


class Members(NamedTuple):
    """The studies in use, all judged by `metric` (its name in a recipe), and those that are not."""

    metric: str
    used: tuple[Member, ...]
    unused: tuple[Unused, ...]


def members(records: Sequence[StudyRecord]) -> Members:
    """Choose the studies that an atlas can use, all judged by the metric that most studies use."""
    finished, unused = [], []
    for record in records:
        if reason := _unfinished(record):
            unused.append(Unused(study=record.study.name, reason=reason))
        else:
            finished.append(record)
    counts = Counter(record.study.objective for record in finished)
    metric = counts.most_common(1)[0][0] if counts else "fid"
    used: list[Member] = []
    scopes: dict[str, int] = {}
    data: dict[str, int] = {}
    for record in finished:
        if record.study.objective != metric:
            words = [METRICS[name].words for name in (record.study.objective, metric)]
            unused.append(Unused(study=record.study.name, reason="judged by {}, the others by {}".format(*words)))
            continue
        try:
            guide = assemble_guide(record)
        except DataError as error:
            unused.append(Unused(study=record.study.name, reason=str(error)))
            continue
        here = _numbered(scopes, _scope(record)), _numbered(data, data_name(record))
        used.append(Member(record, evidence(record), guide, *here))
    return Members(metric, tuple(used), tuple(unused))


def _numbered(known: dict[str, int], name: str) -> int:
    return known.setdefault(name, len(known) + 1)


def _unfinished(record: StudyRecord) -> str:
    """Return why a study cannot be used yet; empty where its screen is finished."""
    screen = [trial for trial in record.trials if trial.spec.stage == "screen"]
    if not screen:
        return "it has no screen"
    planned = {trial.key for trial in screen_trials(record.study)}
    decided = {trial.spec.key for trial in screen if trial.state in FINAL_STATES}
    if planned - decided or len(decided) < len({trial.spec.key for trial in screen}):
        return "its screen is not finished"
    baseline = [trial for trial in screen if trial.spec.cell.key == BASELINE_KEY and trial.state == "complete"]
    if not baseline:
        return "its baseline has no score"
    if not any(trial.spec.cell.role == "grid" and trial.rungs for trial in screen):
        return "none of its settings has a score"
    return ""


def _scope(record: StudyRecord) -> str:
    facts = next((trial.facts for trial in record.trials if trial.facts), None)
    trained = {name: value for name, value in identity(record.study.recipe).items() if name not in MEASURING}
    return json.dumps([facts.data_hash if facts else "", trained], sort_keys=True)


def data_name(record: StudyRecord) -> str:
    """Name the data set of a study's images; a part of it has the same name."""
    data = {name: value for name, value in identity(record.study.recipe.data).items() if name not in PART}
    return " ".join(str(value) for value in (data["name"], data.get("path")) if value)


def of_scope(used: Iterable[Member], scope: int) -> list[Member]:
    """The studies that share a scope."""
    return [member for member in used if member.scope == scope]
