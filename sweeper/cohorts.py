"""Which trials train together, on disk: a cohort is named, so that its checkpoint outlives every process."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from sweeper.records import TrialSpec

LANES = "lanes.json"


class StoredCohort(NamedTuple):
    """A cohort that was handed out: its name and the trials it was made of."""

    name: str
    trials: tuple[TrialSpec, ...]


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

    def unfinished(self, running: Collection[str]) -> list[StoredCohort]:
        """Return the stored cohorts with a trial among `running` (keys); the others' folders are removed."""
        found = []
        for folder in sorted(self._root.glob("*/")):
            lanes = folder / LANES
            listed = json.loads(lanes.read_text()) if lanes.exists() else []
            trials = tuple(TrialSpec.model_validate(each) for each in listed)
            if any(trial.key in running for trial in trials):
                found.append(StoredCohort(folder.name, trials))
            else:
                self.remove(folder.name)
        return found

    def remove(self, name: str) -> None:
        """Forget a finished cohort and its checkpoint."""
        shutil.rmtree(self._root / name, ignore_errors=True)
