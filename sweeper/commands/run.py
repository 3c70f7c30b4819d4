"""`sweeper run`: run a study and write its guide, or continue a study that was stopped."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from sweeper.commands.changed_code import refuse_changed_code
from sweeper.commands.preliminary import preliminary_guide
from sweeper.commands.progress import Show
from sweeper.commands.report import forget, prepare, publish, published
from sweeper.commands.run_log import run_log, showing
from sweeper.commands.status import Counts, count, waiting_again
from sweeper.commands.study_owner import registered
from sweeper.coordinator.seed_registry import SeedRegistry
from sweeper.errors import CONTINUES, StudyError, SweeperError
from sweeper.provenance import gather
from sweeper.records import Progress, Provenance, Stage
from sweeper.study import Study
from sweeper.study.registration import Registration
from sweeper.workspace import Workspace

log = logging.getLogger(__name__)


class Result(NamedTuple):
    """How a run ended: trials by state, the guide if one was written, the signal that ended it, what is missing."""

    counts: Counts
    guide: Path | None = None
    interrupted: int = 0
    delivered: bool = True
    failures: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 when everything is done, 1 with failed or undecided trials, 128 and the signal when interrupted."""
        if self.interrupted:
            return 128 + self.interrupted
        return 0 if self.counts.done and not self.counts.states.get("failed") else 1

    def summary(self, command: str, retry: str = "") -> str:
        """Describe it in a line or two; `command` is what was typed, `retry` what runs failed trials again."""
        listed = ", ".join(f"{number} {state}" for state, number in self.counts.states.items())
        word = "interrupted" if self.interrupted else "all is done" if self.counts.done else "not all is done"
        lines = [f"{word}: {listed}", *self.failures]
        if self.failures:
            again = retry or re.sub(r" --stage[ =]\S+", "", command.replace("sweeper run ", "sweeper retry ", 1))
            lines.append(f"to run them again: {again}")
        if not self.counts.done:
            lines.append(f"to continue, run: {command}")
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
    show: Show,
    command: str,
    only: Stage | None = None,
    address: str | None = None,
    retry: bool = False,
) -> Result:
    """Run what is not decided yet and write the guide; the same call again continues a study that was stopped.

    `show` is called about once a second; `command` is what the record says to repeat it with. With `retry`, trials that
    failed run again. Raises the SweeperError of whatever stands in the way.
    """
    stages = stages_of(study, only)
    with workspace.lock(study.name):
        registration = registered(study, workspace)
        counts = count(study, workspace, stages)
        again = retry and bool(counts.states.get("failed"))
        guide = published(study, workspace, reports)
        if counts.done and guide and not again:
            refuse_changed_code(study, workspace)
            return Result(counts, guide, failures=_failures(study, workspace))
        if not counts.done or again:
            begun = count(study, workspace, stages[:1]).states
            show(Progress(stage=stages[0], counts=dict(begun), messages=("reading the data, starting Ray",)))
            interrupted = _train(registration, workspace, reports, stages, show, gather(command), address, again)
            counts = count(study, workspace, stages)
            if interrupted and not counts.done:
                return Result(waiting_again(counts), interrupted=interrupted)
            made = publish(study.name, workspace, reports)
        else:
            workspace.register(registration)
            made = publish(study.name, workspace, reports, current=study)
        _name_guide(study, workspace, made.guide)
        return Result(counts, made.guide, delivered=made.delivered, failures=_failures(study, workspace))


def _name_guide(study: Study, workspace: Workspace, guide: Path) -> None:
    """Say in the search where the guide is; a store that fails now takes nothing from a run that is done."""
    from sweeper.search import name_guide

    try:
        name_guide(workspace.store_url, study.name, str(guide))
    except SweeperError as error:
        log.warning("the search's note does not name the guide: %s", error.message)


def _failures(study: Study, workspace: Workspace) -> tuple[str, ...]:
    """List which trials failed and why, each reason once."""
    from sweeper.search import failures

    by_reason: dict[str, list[str]] = {}
    for failed in failures(workspace.store_url, study.name):
        by_reason.setdefault(failed.reason, []).append(failed.label)
    return tuple(f"{len(labels)} failed: {reason} ({'; '.join(labels)})" for reason, labels in by_reason.items())


def _train(
    registration: Registration,
    workspace: Workspace,
    reports: Path,
    stages: Sequence[Stage],
    show: Show,
    provenance: Provenance,
    address: str | None,
    retry: bool,
) -> int:
    # Ray and torch are imported here: a study that is done needs neither.
    from sweeper.calibration.preflight import check_fit
    from sweeper.coordinator.paths import Paths
    from sweeper.placement.study_run import run_study

    study = registration.study
    check_fit(study, elsewhere=address is not None)  # nothing is registered of a study that cannot be trained
    SeedRegistry(workspace.seeds).refuse_seen(registration)
    prepare(study.name, reports)
    workspace.register(registration)
    forget(study.name, workspace)
    paths = Paths(
        registration=registration,
        store_url=workspace.store_url,
        tracking_uri=workspace.tracking_uri,
        artifacts=workspace.artifacts,
        folder=workspace.folder(study.name),
        cache=workspace.cache,
        seeds=workspace.seeds,
        base=Path.cwd(),
    )
    with run_log(paths.folder, provenance.command) as log, preliminary_guide(study.name, workspace, reports) as guide:
        both = showing(log, show)
        outcome = run_study(
            study, stages, paths, provenance, address, lambda progress: both(guide.seen(progress)), retry
        )
        if outcome.halted:
            reason = outcome.halted
            again = "" if isinstance(reason, StudyError) else CONTINUES
            remedy = "; ".join(filter(None, (reason.remedy, again)))
            raise type(reason)(f"the study was stopped: {reason.message}", remedy)
        log.note(f"ended: {'interrupted' if outcome.interrupted else 'no trial is left to run'}")
    return outcome.interrupted
