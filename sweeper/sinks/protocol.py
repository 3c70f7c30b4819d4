"""What another tracker takes of a study: its trials one after the other, then its guide."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

from sweeper.records import Stage, StudyRecord, TrialRecord, TrialState
from sweeper.study.knobs import KNOBS, Taps, Word

# Of a guide's folder, where it has them.
PICTURES = ("overview.png", "curves.png", "health.png", "front.png", "samples.png")


class Copy(NamedTuple):
    """A trial as other trackers take it: `settings` by name, and metrics by step."""

    stage: Stage
    cell: str
    seed: int
    state: TrialState
    settings: Mapping[str, Word]
    rungs: tuple[tuple[int, Mapping[str, float]], ...]

    @property
    def name(self) -> str:
        """What tells it from the study's other trials of its stage."""
        return f"{self.cell}, seed {self.seed}"


class Sink(Protocol):
    """Another tracker, opened for one study."""

    def trial(self, copy: Copy) -> None:
        """Take a trial."""

    def guide(self, folder: Path) -> None:
        """Take a guide: the page and the pictures that its folder has."""

    def close(self) -> str:
        """Write what is left; return the command that shows it."""


def copies(record: StudyRecord) -> tuple[Copy, ...]:
    """Return a record's trials; those that never reached a rung have no metrics."""
    return tuple(_copy(trial, record.study.recipe.model.taps) for trial in record.trials)


def _copy(trial: TrialRecord, taps: Taps) -> Copy:
    cell = trial.spec.cell
    knobs = {knob.name: shown for knob in KNOBS if (shown := knob.shown(cell.dispersion, taps)) is not None}
    settings: dict[str, Word] = {"stage": trial.spec.stage, "role": cell.role, "seed": trial.spec.seed, **knobs}
    settings |= {name: value if isinstance(value, (int, float)) else str(value) for name, value in cell.overrides}
    rungs = tuple((rung.step, rung.metrics) for rung in trial.rungs)
    return Copy(trial.spec.stage, cell.label, trial.spec.seed, trial.state, settings, rungs)
