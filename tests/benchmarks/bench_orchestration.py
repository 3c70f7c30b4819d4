"""`python -m tests.benchmarks.bench_orchestration`: what Ray, Optuna and MLflow cost a trial, apart from training.

Runs a study of many one-step trials with the command a user types, in a fresh workspace whose feature extractor is
made beforehand, and reads what the study recorded itself: the outbox's times, and the seconds a trial says it trained.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import torch

from sweeper.ledger.events import RungReached, TrialFinished, from_line
from sweeper.study import Study
from sweeper.study.yaml_files import to_yaml
from tests.benchmarks.watching import cpu_seconds, family, memory_bytes, run_study, title
from trainer.data.dataset import load
from trainer.evaluation.evaluator import Evaluator

SAMPLE_EVERY_S = 5.0
SLOTS, SEEDS, BLOCKS, TAUS = 2, 4, 2, (0.25, 0.5, 1.0, 2.0, 4.0)
# Titles of the processes of a run; what fits none of them is left out.
TITLES = {
    "driver": "from sweeper.cli import main",
    "coordinator": "ray::Coordinator",
    "workers": "ray::ImplicitFunc",
    "raylet": "raylet/raylet",
    "gcs": "gcs/gcs_server",
}


class Sample(NamedTuple):
    """A look at a run: CPU seconds and PSS in bytes by kind of process, bytes that MLflow does not have yet."""

    at_s: float
    cpu_s: Mapping[str, float]
    memory: Mapping[str, int]
    undelivered: int


class Trial(NamedTuple):
    """A trial as the outbox tells it, in seconds since 1970: the first step began, the end was recorded."""

    began: float
    ended: float
    work_s: float


class Measured(NamedTuple):
    """One run of the command."""

    launched: float
    first_step: float
    ended: float
    wall_s: float
    trials: list[Trial]
    samples: list[Sample]


def study(trials: int, pruner: str) -> Study:
    """Return a study of at least `trials` one-step trials, few more."""
    lambdas = -(-trials // (SEEDS * BLOCKS * len(TAUS)))
    return Study.model_validate(
        {
            "name": f"orchestration_{pruner}",
            "question": "What does a trial cost beside its training?",
            "recipe": {
                "model": {"width": 8, "depth": BLOCKS, "heads": 1},
                "train": {"steps": 1, "batch": 2, "warmup": 0},
                "eval": {"samples": 2, "batch": 2, "nfe": 1, "probe": 2, "full_samples": "none"},
            },
            "space": {
                "block": list(range(BLOCKS)),
                "lambda": [round(0.01 * (1 + place), 6) for place in range(lambdas)],
                "tau": TAUS,
            },
            "screen": {"seeds": SEEDS, "rungs": [0.5, 1.0], "pruner": pruner},
            "resources": {"slots": SLOTS},
        }
    )


def measure(of: Study, root: Path) -> Measured:
    """Run a study in an empty folder and watch its processes."""
    file, workspace = root / "study.yaml", root / "workspace"
    file.write_text(to_yaml(of))
    cache = workspace / "cache"
    cache.mkdir(parents=True)
    _ = Evaluator(of.recipe.eval, load(of.recipe.data), cache, torch.device("cpu")).references
    folder = workspace / "studies" / of.name
    # Ray gives workers nice 15, which on a machine that does anything else measures that.
    environment = {"RAY_worker_niceness": "0", **os.environ}
    outbox = folder / "outbox.jsonl"
    seen = run_study(file, workspace, root / "reports", lambda pid: _look(pid, outbox), SAMPLE_EVERY_S, environment)
    if seen.exit_code:
        raise SystemExit(f"the run ended with {seen.exit_code}")
    first = float(json.loads((folder / "spent.json").read_text())["first_step_at"])
    trials = _trials(outbox)
    return Measured(seen.launched, first, max(trial.ended for trial in trials), seen.wall_s, trials, seen.looks)


def _trials(outbox: Path) -> list[Trial]:
    """Return the trials in the order of their ends; those that were dropped before they began are left out."""
    reached: dict[str, RungReached] = {}
    found = []
    for line in outbox.read_bytes().splitlines():
        event = from_line(line)
        if isinstance(event, RungReached):
            reached[event.spec.key] = event
        elif isinstance(event, TrialFinished) and event.spec.key in reached:
            rung = reached[event.spec.key]
            work = rung.rung.metrics["train_s"] + rung.rung.metrics["eval_s"]
            found.append(Trial(rung.at_ms / 1000 - work, event.at_ms / 1000, work))
    return sorted(found, key=lambda trial: trial.ended)


def _look(root: int, outbox: Path) -> Sample:
    cpu: dict[str, float] = {}
    memory: dict[str, int] = {}
    for pid in family(root):
        shown = title(pid)
        kind = next((name for name, part in TITLES.items() if part in shown), None)
        if kind:
            cpu[kind] = cpu.get(kind, 0.0) + cpu_seconds(pid)
            if kind in ("driver", "coordinator"):
                memory[kind] = memory_bytes(pid)
    return Sample(time.time(), cpu, memory, _undelivered(outbox))


def _undelivered(outbox: Path) -> int:
    mark = outbox.with_name(outbox.name + ".mark")
    done = int(mark.read_text()) if mark.exists() else 0
    return max(0, outbox.stat().st_size - done) if outbox.exists() else 0


def idle_seconds(trials: Sequence[Trial]) -> list[float]:
    """Return how long a slot waited each time: from the end of a trial to the first step of the next.

    The record does not name slots: the first to become free is taken to be the first to begin again, which keeps
    the mean and shortens the longest.
    """
    begins = sorted(trial.began for trial in trials)
    ends = sorted(trial.ended for trial in trials)
    return [max(0.0, begin - end) for begin, end in zip(begins[SLOTS:], ends, strict=False)]


class Hundred(NamedTuple):
    """A hundred trials one after another: seconds a trial, in all and without its own training and evaluation."""

    wall_s: float
    overhead_s: float
    idle_s: float


def hundreds(run: Measured) -> list[Hundred]:
    """Cut a run into hundreds of trials; what is left over at the end is left out."""
    edges = [run.first_step, *(trial.ended for trial in run.trials[99::100])]
    idle = idle_seconds(run.trials)
    found = []
    for place, (begin, end) in enumerate(pairwise(edges)):
        part = slice(100 * place, 100 * (place + 1))
        work = sum(trial.work_s for trial in run.trials[part])
        median = statistics.median(idle[part]) if idle[part] else 0.0
        found.append(Hundred((end - begin) / 100, (end - begin - work / SLOTS) / 100, median))
    return found


def tables(name: str, run: Measured) -> str:
    """Say a run as markdown."""
    by_hundred, idle = hundreds(run), idle_seconds(run.trials)
    ordered = sorted(idle)
    total = sum(trial.work_s for trial in run.trials)
    span = run.ended - run.first_step
    rows = [
        ("trials that trained", f"{len(run.trials)}", ""),
        ("command to first step", f"{run.first_step - run.launched:.1f} s", "12 s"),
        ("first step to last end", f"{span:.1f} s", ""),
        ("last end to the command's end (delivery, guide)", f"{run.launched + run.wall_s - run.ended:.1f} s", ""),
        ("overhead a trial, wall", f"{(span - total / SLOTS) / len(run.trials):.3f} s", ""),
        ("overhead a trial, of its slot", f"{(span * SLOTS - total) / len(run.trials):.3f} s", "0.15 s, flat"),
        ("its own training and evaluation (median)", f"{statistics.median(t.work_s for t in run.trials):.3f} s", ""),
        (
            "a slot waits: median, 95 %, longest",
            ", ".join(f"{ordered[int(q * (len(idle) - 1))]:.3f}" for q in (0.5, 0.95, 1)) + " s",
            "0.5 s",
        ),
    ]
    body = (f"| {what} | {value} | {goal} |" for what, value, goal in rows)
    lines = [f"**{name}**", "", "| what | measured | goal |", "|---|---|---|", *body]
    lines += ["", "| trials | wall a trial, s | overhead a trial, s | a slot waits (median), s |", "|---|---|---|---|"]
    for place, part in enumerate(by_hundred):
        where = f"{100 * place + 1} to {100 * (place + 1)}"
        lines.append(f"| {where} | {part.wall_s:.3f} | {part.overhead_s:.3f} | {part.idle_s:.3f} |")
    training = [sample for sample in run.samples if run.first_step <= sample.at_s <= run.ended]
    lines += [
        "",
        f"| second | {' | '.join(f'CPU s, {kind}' for kind in TITLES)} | driver, MiB | coordinator, MiB "
        "| undelivered, KiB |",
    ]
    lines.append("|---|" + "---|" * (len(TITLES) + 3))
    for sample in training[:: max(1, len(training) // 12)]:
        spent = " | ".join(f"{sample.cpu_s.get(kind, 0.0):.1f}" for kind in TITLES)
        held = " | ".join(f"{sample.memory.get(kind, 0) / 2**20:.0f}" for kind in ("driver", "coordinator"))
        lines.append(f"| {sample.at_s - run.first_step:.0f} | {spent} | {held} | {sample.undelivered / 2**10:.0f} |")
    return "\n".join(lines) + "\n"


def run(trials: int, pruner: str) -> str:
    """Run a study of so many trials and return its tables."""
    with tempfile.TemporaryDirectory() as folder:
        return tables(f"{trials} trials, pruner {pruner}", measure(study(trials, pruner), Path(folder)))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trials", type=int, nargs="?", default=2000)
    parser.add_argument("--pruner", action="append", choices=["none", "race", "median"])
    given = parser.parse_args()
    for pruner in given.pruner or ["none", "race"]:
        print(run(given.trials, pruner))


if __name__ == "__main__":
    main()
