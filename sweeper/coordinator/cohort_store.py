"""Which trials train together, on disk: a cohort has a name, under which its files outlive every process."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Self

from pydantic import model_validator

from sweeper.records import Stage, TrialSpec
from trainer.recipe import Frozen
from trainer.runtime.files import read_json, write_whole

LANES = "lanes.json"


class StoredCohort(Frozen):
    """A cohort that was handed out, and where its lanes begin: at `step`, each as its source parked it.

    `sources` name a cohort for every lane, and are empty where all begin at step 0. `parked` is the step at which the
    lanes still living then were parked.
    """

    name: str
    trials: tuple[TrialSpec, ...]
    step: int = 0
    sources: tuple[str, ...] = ()
    parked: int | None = None

    @model_validator(mode="after")
    def _every_lane_has_a_source(self) -> Self:
        if len(self.sources) not in (0, len(self.trials)):
            raise ValueError(f"{len(self.trials)} lanes have {len(self.sources)} sources")
        return self

    @classmethod
    def of(cls, trials: Sequence[TrialSpec], step: int = 0, sources: Sequence[str] = ()) -> Self:
        """Name a cohort by its trials and step: the same trials, parked again at a later step, are another cohort."""
        does = "\n".join([*(trial.key for trial in trials), *([str(step)] if step else [])])
        name = hashlib.sha256(does.encode()).hexdigest()[:16]
        return cls(name=name, trials=tuple(trials), step=step, sources=tuple(sources))

    @property
    def keys(self) -> tuple[str, ...]:
        """Its trials' keys, lane by lane."""
        return tuple(trial.key for trial in self.trials)

    @property
    def origins(self) -> dict[str, str]:
        """The source of every trial by its key, in their order; empty where all begin at step 0."""
        return dict(zip(self.keys, self.sources, strict=True)) if self.sources else {}


class CohortFolder:
    """The unfinished cohorts of one study, each a folder with its list of lanes and their saved state."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def checkpoint(self, name: str) -> Path:
        """Where a cohort's checkpoint lies, from which its next attempt resumes."""
        return self._root / name / "checkpoint.safetensors"

    def parked(self, name: str) -> Path:
        """Where a cohort's parked lanes lie; apart from the checkpoint, which a replaced worker may still write."""
        return self._root / name / "parked.safetensors"

    def weights(self, name: str) -> Path:
        """Where the weights of a cohort's complete trials lie until they are recorded."""
        return self._root / name / "weights"

    def store(self, cohort: StoredCohort) -> StoredCohort:
        """Write which trials train together, or that they were parked; a crash leaves the old file or the new one."""
        folder = self._root / cohort.name
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / LANES, cohort.model_dump_json())
        return cohort

    def read(self, name: str) -> StoredCohort | None:
        """Return a stored cohort; None if its lanes cannot be read."""
        try:
            content = read_json(self._root / name / LANES)
            if isinstance(content, list):  # of trials, the format before cohorts could be split
                content = {"name": name, "trials": content}
            return StoredCohort.model_validate(content)
        except (OSError, ValueError):
            return None

    def unfinished(self, running: Collection[str], stage: Stage) -> list[StoredCohort]:
        """Return a stage's stored cohorts with a trial among `running` (keys); its other folders are removed.

        A folder whose lanes cannot be read counts as finished: its trials are handed out again one by one.
        """
        cohorts = []
        for folder in sorted(self._root.glob("*/")):
            cohort = self.read(folder.name)
            if cohort and any(key in running for key in cohort.keys):
                cohorts.append(cohort)
            elif cohort is None or all(trial.stage == stage for trial in cohort.trials):
                self.remove(folder.name)
        return cohorts

    def remove(self, name: str) -> None:
        """Delete a finished cohort's folder."""
        shutil.rmtree(self._root / name, ignore_errors=True)


class Needed:
    """Which parked lanes may still have to be read, by the cohort that parked them."""

    def __init__(self) -> None:
        self._keys: dict[str, set[str]] = {}

    def add(self, cohort: str, key: str) -> None:
        """Note that a lane may have to be read."""
        self._keys.setdefault(cohort, set()).add(key)

    def any_of(self, cohort: str) -> bool:
        """Whether any lane of a cohort may have to be read."""
        return cohort in self._keys

    def drop(self, cohort: str, key: str) -> bool:
        """Note that a lane need not be read any more; return whether it was the last of its cohort."""
        keys = self._keys.get(cohort, set())
        keys.discard(key)
        return not keys and self._keys.pop(cohort, None) is not None
