"""What to run next, as commands and changes to the study file."""

from __future__ import annotations

from collections.abc import Sequence

from sweeper.guide.schema.results import CellResult, StageResult
from sweeper.guide.wording.findings import Findings, candidates
from sweeper.records import StudyRecord


def next_steps(findings: Findings) -> tuple[str, ...]:
    """Return what to run next."""
    stages = [stage for stage in (findings.main, findings.fresh) if stage]
    rows = [result for stage in stages for result in _all(stage)]
    steps = []
    if any(state in result.states for result in rows for state in ("waiting", "running")):
        steps.append(f"Finish what is open: `{run_command(findings.record)}` continues where it stopped.")
    if findings.confirming is None and candidates(findings):
        steps.append(_confirm_step(findings))
    return (*steps, "Repeat at the size you care about: this study says nothing about other data or models.")


def _all(stage: StageResult) -> Sequence[CellResult]:
    return (*((stage.baseline,) if stage.baseline else ()), *stage.rows)


def run_command(record: StudyRecord) -> str:
    """The command that runs this study, without the options it was given."""
    return f"sweeper run {study_file(record)}".replace("`", "")


def study_file(record: StudyRecord) -> str:
    """The study's file as it was typed; its name, which its workspace knows, where there is none or it was changed."""
    words = record.provenance.command.split()
    files = [word for word in words if word.endswith((".yaml", ".yml"))]
    changed = any(word.startswith(("--set", "--across")) for word in words)
    return files[0] if files and not changed else record.study.name


def _confirm_step(findings: Findings) -> str:
    command, audit = run_command(findings.record), findings.seeds
    if findings.record.study.confirm is None:
        return f"Add `confirm: {{top: {audit.top}, seeds: auto}}` to the study and run `{command}` again."
    return f"Measure the lowest {audit.top} and the baseline on fresh seeds: `{command} --stage confirm`."
