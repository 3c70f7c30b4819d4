"""`sweeper run`: from a study to its guide, or on from where it was stopped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from sweeper.counting import Counts, count
from sweeper.errors import StudyError
from sweeper.progress import display
from sweeper.provenance import gather
from sweeper.records import Provenance, Stage
from sweeper.study import Study
from sweeper.workspace import Workspace


class Result(NamedTuple):
    """How a run ended: trials by state, and the guide if one could be written."""

    counts: Counts
    guide: Path | None = None
    interrupted: bool = False
    delivered: bool = True
    failures: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 when everything is done, 1 with failed trials, 130 when interrupted."""
        if self.interrupted:
            return 130
        return 1 if self.counts.states.get("failed") else 0

    def summary(self, file: Path) -> str:
        """Say it in a line or two."""
        listed = ", ".join(f"{number} {state}" for state, number in self.counts.states.items())
        lines = [f"{'interrupted' if self.interrupted else 'all is done'}: {listed}"]
        if self.interrupted:
            lines.append(f"the same command continues: sweeper run {file}")
        lines += self.failures
        if not self.delivered:
            lines.append("the record is not complete in MLflow yet; the same command delivers the rest")
        return "\n".join(lines)


def stages_of(study: Study, only: Stage | None) -> list[Stage]:
    """Return the stages to run in order: those the study has, or `only` one of them."""
    if only == "confirm" and study.confirm is None:
        raise StudyError(f"study {study.name!r} has no confirm stage", "add a 'confirm:' section to it")
    stages: list[Stage] = ["screen"] if study.confirm is None else ["screen", "confirm"]
    return [only] if only else stages


def run(
    study: Study,
    workspace: Workspace,
    reports: Path,
    console: Console,
    command: str,
    only: Stage | None = None,
    address: str | None = None,
) -> Result:
    """Run what is not decided yet and write the guide; the same call again continues a study that was stopped.

    `command` is what the record says to repeat it with.
    """
    stages = stages_of(study, only)
    workspace.prepare(study.name)
    with workspace.lock(study.name):
        workspace.remember(study, confirming="confirm" in stages)
        interrupted, delivered = False, True
        counts = count(study, workspace, stages)
        if not counts.done:
            interrupted, delivered = _train(study, workspace, stages, console, gather(command), address)
            counts = count(study, workspace, stages)
        elif (reports / study.name / "guide.md").exists():
            return Result(counts, reports / study.name / "guide.md")
        if interrupted:
            return Result(counts, interrupted=True, delivered=delivered)
        written = write(study.name, workspace, reports)
        return Result(counts, written.guide, delivered=delivered, failures=written.failures)


class Written(NamedTuple):
    """A guide's path, and why trials failed, each reason once."""

    guide: Path
    failures: tuple[str, ...]


def write(study_name: str, workspace: Workspace, reports: Path) -> Written:
    """Write the guide from the ledger alone and attach it to the study's record."""
    from sweeper.ledger import Ledger, read_grid, read_study
    from sweeper.render import write_guide

    record = read_study(workspace.tracking_uri, study_name)
    uri = workspace.tracking_uri
    path = write_guide(record, reports / study_name, lambda key: read_grid(uri, study_name, key))
    outbox = workspace.folder(study_name) / "outbox.jsonl"
    with Ledger(uri, workspace.artifacts, outbox, study_name) as ledger:
        ledger.artifact(path.parent)
    reasons = Counter(trial.note for trial in record.trials if trial.state == "failed")
    return Written(path, tuple(f"{number} failed: {reason}" for reason, number in reasons.most_common()))


def _train(
    study: Study,
    workspace: Workspace,
    stages: Sequence[Stage],
    console: Console,
    provenance: Provenance,
    address: str | None,
) -> tuple[bool, bool]:
    # Ray and torch are imported here: a study that is done needs neither.
    from sweeper.desk import Places
    from sweeper.fit import check_fit
    from sweeper.schedule import run_study

    check_fit(study)
    places = Places(
        store_url=workspace.store_url,
        tracking_uri=workspace.tracking_uri,
        artifacts=workspace.artifacts,
        folder=workspace.folder(study.name),
        cache=workspace.cache,
    )
    with display(console) as show:
        outcome = run_study(study, stages, places, provenance, workspace.ray, address, show)
    return outcome.interrupted, outcome.delivered
