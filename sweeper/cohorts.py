"""Which trials train together, on disk: a cohort is named, so that its checkpoint outlives every process."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from sweeper.records import Stage, TrialSpec

LANES = "lanes.json"


class StoredCohort(NamedTuple):
    """A cohort that was handed out: its name and the trials it was made of."""

    name: str
    trials: tuple[TrialSpec, ...]


@dataclass
class Running:
    """A cohort in work: its trials, the keys still wanted, and the attempt that may report."""

    name: str
    trials: tuple[TrialSpec, ...]
    living: set[str]
    attempt: int = 0
    specs: dict[str, TrialSpec] = field(init=False)

    def __post_init__(self) -> None:
        self.specs = {trial.key: trial for trial in self.trials}


class CohortFolder:
    """The cohorts of one study that are not finished, each a folder with its lanes and its checkpoint."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def checkpoint(self, name: str) -> Path:
        """Where a cohort's checkpoint lies."""
        return self._root / name / "checkpoint.safetensors"

    def store(self, trials: Sequence[TrialSpec]) -> StoredCohort:
        """Remember that these trials train together."""
        name = hashlib.sha256("\n".join(trial.key for trial in trials).encode()).hexdigest()[:16]
        folder = self._root / name
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f"{LANES}.part"
        part.write_text(json.dumps([trial.model_dump(mode="json") for trial in trials]))
        part.replace(folder / LANES)
        return StoredCohort(name, tuple(trials))

    def unfinished(self, running: Collection[str], stage: Stage) -> list[StoredCohort]:
        """Return a stage's stored cohorts with a trial among `running` (keys); its other folders are removed.

        A folder whose lanes cannot be read counts as finished: its trials are handed out again one by one.
        """
        found = []
        for folder in sorted(self._root.glob("*/")):
            trials = _lanes(folder / LANES)
            if any(trial.key in running for trial in trials):
                found.append(StoredCohort(folder.name, trials))
            elif all(trial.stage == stage for trial in trials):
                self.remove(folder.name)
        return found

    def remove(self, name: str) -> None:
        """Forget a finished cohort and its checkpoint."""
        shutil.rmtree(self._root / name, ignore_errors=True)


def _lanes(path: Path) -> tuple[TrialSpec, ...]:
    try:
        return tuple(TrialSpec.model_validate(each) for each in json.loads(path.read_text()))
    except (OSError, ValueError):
        return ()
