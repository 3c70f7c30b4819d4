"""The events that the coordinator writes to the outbox; each is self-contained and carries its time."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from sweeper.records import Facts, Provenance, Rung, TrialSpec, TrialState
from sweeper.study import Study
from trainer.recipe import Frozen

GRID, WEIGHTS = "samples.png", "weights.safetensors"  # names of a trial's files, beside the outbox and in MLflow
StudyEnd = Literal["finished", "failed", "interrupted"]


class Event(Frozen):
    """Something that happened at `at_ms`, milliseconds since 1970."""

    at_ms: int


class StudyOpened(Event):
    """A study begins or is continued; `added` says what was added to it after it had begun."""

    kind: Literal["study_opened"] = "study_opened"
    study: Study
    provenance: Provenance
    added: tuple[str, ...] = ()


class StudyTold(Event):
    """A study's description changed after it was opened: its question, or how the baseline was tuned."""

    kind: Literal["study_told"] = "study_told"
    study: Study


class SeedsChosen(Event):
    """The confirm stage begins, on these fresh seeds at most; `looks` say after how many of them it is judged."""

    kind: Literal["seeds_chosen"] = "seeds_chosen"
    seeds: tuple[int, ...]
    looks: tuple[int, ...] = ()


class TrialStarted(Event):
    """A worker begins or continues a trial; `attempt` counts from 1."""

    kind: Literal["trial_started"] = "trial_started"
    spec: TrialSpec
    attempt: int = Field(ge=1)


class RungReached(Event):
    """A trial was measured."""

    kind: Literal["rung_reached"] = "rung_reached"
    spec: TrialSpec
    rung: Rung
    facts: Facts


class FileMade(Event):
    """A trial's sample grid or weights were written to `file`, relative to the outbox's folder, until delivered."""

    # Older outboxes have 'grid_drawn': grids were then the only files.
    kind: Literal["file_made", "grid_drawn"] = "file_made"
    spec: TrialSpec
    step: int
    file: str


class TrialFinished(Event):
    """A trial's final state is decided; it need not have started."""

    kind: Literal["trial_finished"] = "trial_finished"
    spec: TrialSpec
    state: TrialState
    note: str
    audited: bool = False


class StudyEnded(Event):
    """The driver stops working on the study."""

    kind: Literal["study_ended"] = "study_ended"
    end: StudyEnd
    provenance: Provenance


class ArtifactMade(Event):
    """A file, or these `files` of a folder (all, if none are named), belong to the study: its guide."""

    kind: Literal["artifact_made"] = "artifact_made"
    path: str
    files: tuple[str, ...] = ()


class GuideWritten(Event):
    """A guide of the study was written; `metrics` are what its fresh seeds say, none before the study has ended."""

    kind: Literal["guide_written"] = "guide_written"
    description: str
    metrics: dict[str, float] = Field(default_factory=dict)


AnyEvent = Annotated[
    StudyOpened
    | StudyTold
    | SeedsChosen
    | TrialStarted
    | RungReached
    | FileMade
    | TrialFinished
    | StudyEnded
    | ArtifactMade
    | GuideWritten,
    Field(discriminator="kind"),
]
_EVENT: TypeAdapter[AnyEvent] = TypeAdapter(AnyEvent)


def trial_file(key: str, name: str) -> Path:
    """Where a file of a trial lies beside the outbox until it is delivered."""
    return Path("files", key, name)


def to_line(event: AnyEvent) -> str:
    """Write an event as one line of JSON."""
    return event.model_dump_json(by_alias=True)


def from_line(line: bytes) -> AnyEvent:
    """Read an event; raises ValueError for anything else."""
    return _EVENT.validate_json(line)
