"""What a study costs end to end: `python -m tests.benchmarks.bench_study`.

Runs a shipped study with the command a user types, in a fresh workspace (its guide is written, too), and measures
from outside: wall time, time to the first training step, memory of the whole process tree, and the share of the
slots' time not spent in training or evaluation (Ray, Optuna, MLflow, start-up and idle slots together).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from pathlib import Path
from typing import NamedTuple

from sweeper.ledger import read_study
from sweeper.records import StudyRecord
from sweeper.study.yaml_files import read_study as read_study_file
from tests.benchmarks.watching import family, memory_bytes, run_study

SAMPLE_EVERY_S = 0.5


class Measured(NamedTuple):
    """One run of a study, seen from outside."""

    wall_s: float
    first_step_s: float
    peak_gib: float
    exit_code: int
    record: StudyRecord


def measure(study: Path, workspace: Path, reports: Path) -> Measured:
    """Run `sweeper run` on a study in `workspace` and watch it; the guide goes to `reports`."""
    name = read_study_file(study).name
    seen = run_study(study, workspace, reports, lambda pid: sum(map(memory_bytes, family(pid))), SAMPLE_EVERY_S)
    record = read_study(f"sqlite:///{workspace / 'mlflow.db'}", name)
    spent = json.loads((workspace / "studies" / name / "spent.json").read_text())
    first = spent["first_step_at"] - seen.launched
    return Measured(seen.wall_s, first, max(seen.looks) / 2**30, seen.exit_code, record)


def table(study: Path, runs: list[Measured]) -> str:
    """Say what was measured, as markdown; medians where there was more than one run."""
    given = read_study_file(study)
    slots = given.resources.slots or max(1, (os.cpu_count() or 1) // given.resources.cpus)
    costs = [[trial.rungs[-1].metrics for trial in run.record.trials if trial.rungs] for run in runs]
    trained = statistics.median(statistics.median(m["train_s"] for m in cost) for cost in costs)
    evaluated = statistics.median(statistics.median(m["eval_s"] for m in cost) for cost in costs)
    busy = [sum(m["train_s"] + m["eval_s"] for m in cost) for cost in costs]
    share = statistics.median(sum(m["eval_s"] for m in cost) / spent for cost, spent in zip(costs, busy, strict=True))
    overhead = [1 - each / (slots * run.wall_s) for each, run in zip(busy, runs, strict=True)]
    rows = [
        ("wall time of the command", f"{statistics.median(run.wall_s for run in runs):.0f} s", ""),
        ("command to first training step", f"{statistics.median(run.first_step_s for run in runs):.1f} s", "12 s"),
        ("peak memory of all processes (PSS)", f"{max(run.peak_gib for run in runs):.1f} GiB", "6 GiB"),
        ("training, a trial (median)", f"{trained:.1f} s", ""),
        ("evaluation, a trial (median, all rungs)", f"{evaluated:.1f} s", ""),
        ("evaluation's share of training and evaluation", f"{100 * share:.0f} %", "33 %"),
        ("slot time outside training and evaluation", f"{100 * statistics.median(overhead):.1f} %", "5 %"),
    ]
    record = runs[0].record
    started = sum(1 for trial in record.trials if trial.rungs)
    body = "\n".join(f"| {what} | {value} | {goal} |" for what, value, goal in rows)
    return (
        f"`sweeper run {study}`: {len(runs)} run(s), {len(record.trials)} trials of which {started} were trained, "
        f"{slots} slots.\n\n| what | measured | goal |\n|---|---|---|\n{body}\n\n"
        "The last row holds process and Ray start-up, MLflow, Optuna, loading data, writing the guide, and a slot that "
        "waits for the other at the end.\n"
    )


def run(study: Path, repeat: int, reports: Path) -> str:
    """Run a study so many times, each in a fresh workspace, and return the table; raise SystemExit if it fails."""
    runs = []
    for _ in range(repeat):
        with tempfile.TemporaryDirectory() as folder:
            runs.append(measure(study, Path(folder), reports))
    if failed := max(one.exit_code for one in runs):
        raise SystemExit(f"the study ended with {failed}")
    return table(study, runs)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", type=Path, default=Path("studies/block_temp.yaml"))
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--reports", type=Path, default=Path("reports"), help="where its guide is written")
    given = parser.parse_args()
    print(run(given.study, given.repeat, given.reports))


if __name__ == "__main__":
    main()
