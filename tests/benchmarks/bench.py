"""`make bench`: what a study costs end to end, written as a dated note under reports/.

Runs a shipped study with the command a user types, in a fresh workspace (its guide is written, too), and measures from
outside: wall time, time to the first training step, memory of the whole process tree, and the share of the slots' time
not spent in training or evaluation (Ray, Optuna, MLflow, start-up and idle slots together).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from sweeper.ledger import read_study
from sweeper.records import StudyRecord
from sweeper.study.file import read_study as read_study_file

SAMPLE_EVERY_S = 0.5


class Measured(NamedTuple):
    """One run of a study, seen from outside."""

    wall_s: float
    first_step_s: float
    peak_gib: float
    exit_code: int
    record: StudyRecord


def tree_memory(root: int) -> int:
    """Return the proportional set size in bytes of a process and all that descend from it."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int(entry.joinpath("stat").read_text().rsplit(")", 1)[1].split()[1])
            except (OSError, IndexError):
                continue
    family, grown = {root}, True
    while grown:
        children = {pid for pid, parent in parents.items() if parent in family} - family
        grown = bool(children)
        family |= children
    return sum(proportional_memory(pid) for pid in family)


def proportional_memory(pid: int) -> int:
    """Return the proportional set size in bytes of a process, 0 for one that is gone."""
    try:
        found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else 0


def measure(study: Path, workspace: Path, reports: Path) -> Measured:
    """Run `sweeper run` on a study in `workspace` and watch it; the guide goes to `reports`."""
    name = read_study_file(study).name
    command = [sys.executable, "-c", "from sweeper.cli import main; main()", "run", str(study), "--yes"]
    command += ["--workspace", str(workspace), "--reports", str(reports)]
    peaks: list[int] = []
    launched, begun = time.time(), time.perf_counter()
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as process:
        stop = threading.Event()

        def watch() -> None:
            while not stop.wait(SAMPLE_EVERY_S):
                peaks.append(tree_memory(process.pid))

        watcher = threading.Thread(target=watch)
        watcher.start()
        code = process.wait()
        wall = time.perf_counter() - begun
        stop.set()
        watcher.join()
    record = read_study(f"sqlite:///{workspace / 'mlflow.db'}", name)
    spent = json.loads((workspace / "studies" / name / "spent.json").read_text())
    first = spent["first_step_at"] - launched
    return Measured(wall, first, max(peaks) / 2**30, code, record)


def note(study: Path, runs: list[Measured], slots: int) -> str:
    """Say what was measured, as markdown; medians where there was more than one run."""
    costs = [[trial.rungs[-1].metrics for trial in run.record.trials if trial.rungs] for run in runs]
    trained = [statistics.median(m["train_s"] for m in cost) for cost in costs]
    evaluated = [statistics.median(m["eval_s"] for m in cost) for cost in costs]
    busy = [sum(m["train_s"] + m["eval_s"] for m in cost) for cost in costs]
    overhead = [1 - each / (slots * run.wall_s) for each, run in zip(busy, runs, strict=True)]
    trials = len(runs[0].record.trials)
    started = sum(1 for trial in runs[0].record.trials if trial.rungs)
    commit = runs[0].record.provenance.commit[:12] + (" + changes" if runs[0].record.provenance.dirty else "")
    rows = [
        ("wall time of the command", statistics.median(run.wall_s for run in runs), "s", "about 900"),
        ("command to first training step", statistics.median(run.first_step_s for run in runs), "s", "15"),
        ("peak memory of all processes (PSS)", max(run.peak_gib for run in runs), "GiB", "6"),
        ("training, a trial (median)", statistics.median(trained), "s", ""),
        ("evaluation, a trial (median, all rungs)", statistics.median(evaluated), "s", ""),
        ("share of slot time outside training and evaluation", 100 * statistics.median(overhead), "%", "10"),
    ]
    table = "\n".join(f"| {what} | {value:.1f} {unit} | {goal} |" for what, value, unit, goal in rows)
    return f"""# Cost of `{study}` end to end, {datetime.now(UTC):%Y-%m-%d}

`make bench STUDY={study}` on {os.cpu_count()} cores ({platform.machine()}, no GPU), torch \
{runs[0].record.provenance.versions["torch"]}, commit {commit}; {len(runs)} run(s), {trials} trials of which {started} \
were trained, {slots} slots.

| what | measured | goal |
|---|---|---|
{table}

The last row holds everything that is not a trial's own training or evaluation: process and Ray start-up, MLflow,
Optuna, loading data, writing the guide, and a slot that waits for the other at the end.
"""


def main() -> None:
    """Measure and write the note."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", type=Path, default=Path("studies/block_temp.yaml"))
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--reports", type=Path, default=Path("reports"))
    given = parser.parse_args()
    runs = []
    for _ in range(given.repeat):
        with tempfile.TemporaryDirectory() as folder:
            runs.append(measure(given.study, Path(folder), given.reports))
    study = read_study_file(given.study)
    slots = study.resources.slots or max(1, (os.cpu_count() or 1) // study.resources.cpus)
    name = f"bench_{study.name}_{os.cpu_count()}cores_{datetime.now(UTC):%Y-%m-%d}.md"
    text = note(given.study, runs, slots)
    given.reports.joinpath(name).write_text(text)
    print(text)
    sys.exit(max(run.exit_code for run in runs))


if __name__ == "__main__":
    main()
