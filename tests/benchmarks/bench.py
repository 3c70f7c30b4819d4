"""`make bench`: everything that is said about speed, measured in one go and written as a dated note under reports/.

For a machine that does nothing else; the study end to end takes most of the time. `PEER=path` (a checkout of the public
SiT code) adds the comparison with its training step; `--only` measures some parts again, to standard output alone.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from sweeper.study.yaml_files import read_study, to_yaml
from tests.benchmarks import bench_orchestration, bench_study
from tests.places import ROOT

MILLION = {
    "block": list(range(4)),
    "lambda": {"low": 0.001, "high": 0.5, "count": 500},
    "tau": {"low": 0.1, "high": 4, "count": 500},
}


def module(name: str, *words: str) -> str:
    """Return what a benchmark prints, run in a process of its own: with one thread, and nothing else in memory."""
    command = [sys.executable, "-m", f"tests.benchmarks.{name}", *words]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout


def planning(study: Path, repeat: int = 3) -> str:
    """Time `sweeper check` and `sweeper plan` on a study, and on one of a million cells made from it.

    The first line of `plan` says how many trials there are; then a step is measured.
    """
    given = read_study(study)
    many = given.model_copy(update={"name": "million", "space": type(given.space).model_validate(MILLION)})
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        large = Path(folder, "million.yaml")
        large.write_text(to_yaml(many))
        for word in ("check", "plan"):
            whole = [[_walls(word, file) for _ in range(repeat)] for file in (study, large)]
            for place, what in enumerate(("to its first line", "to its end")):
                seconds = (statistics.median(walls[place] for walls in of) for of in whole)
                rows.append(f"| `sweeper {word}` {what} | " + " | ".join(f"{one:.1f} s" for one in seconds) + " |")
    head = ["Goal: what a million cells come to within a second.\n", f"| command | {given.name} | a million cells |"]
    return "\n".join([*head, "|---|---|---|", *rows]) + "\n"


def _walls(word: str, study: Path) -> tuple[float, float]:
    command = [sys.executable, "-c", "from sweeper.cli import program; program()", word, str(study)]
    begun = time.perf_counter()
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        first = time.perf_counter() - begun
        process.stdout.read()
    if process.returncode:
        raise SystemExit(f"sweeper {word} ended with {process.returncode}")
    return first, time.perf_counter() - begun


def sections(given: argparse.Namespace) -> dict[str, tuple[str, Callable[[], str]]]:
    """Return the parts of a note by their short names: a title, and what measures it."""
    parts: dict[str, tuple[str, Callable[[], str]]] = {
        "study": ("A study end to end", lambda: bench_study.run(given.study, 1, given.reports)),
        "evaluation": ("Evaluation", lambda: module("bench_evaluation")),
        "orchestration": ("Two thousand one-step trials", lambda: bench_orchestration.run(2000, "race")),
        "planning": ("Planning", lambda: planning(given.study)),
    }
    if given.peer:
        site = ["--site", given.site] if given.site else []
        parts["peer"] = (
            "A training step beside the public SiT code's",
            lambda: module("bench_peer", given.peer, *site),
        )
    return parts


def note(parts: Sequence[tuple[str, str]], minutes: float) -> str:
    """Put a note together."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()

    dirty = " with uncommitted changes" if git("status", "--porcelain", "--", "sweeper", "trainer", "tests") else ""
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "ray", "optuna", "mlflow", "torch-fidelity"))
    head = (
        f"# Speed on {os.cpu_count()} cores, {datetime.now(UTC):%Y-%m-%d}\n\n"
        f"`make bench` at {git('rev-parse', '--short=12', 'HEAD')}{dirty}, {minutes:.0f} minutes; "
        f"{platform.machine()}, Python {platform.python_version()}, {versions}. A GPU has `make bench-gpu`.\n"
    )
    return "\n".join([head, *(f"## {title}\n\n{text}" for title, text in parts)])


def main() -> None:
    """Measure and write the note."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", type=Path, default=Path("studies/block_temp.yaml"))
    parser.add_argument("--reports", type=Path, default=Path("reports"))
    parser.add_argument("--peer", help="a checkout of the public SiT code")
    parser.add_argument("--site", help="folder with timm and torchdiffeq")
    parser.add_argument("--only", action="append", help="part to measure; may be repeated")
    given = parser.parse_args()
    known, begun = sections(given), time.monotonic()
    if unknown := set(given.only or ()) - known.keys():
        raise SystemExit(f"no part {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    done = []
    for name, (title, measure) in known.items():
        if name in (given.only or known):
            print(f"{title} ...", file=sys.stderr, flush=True)
            done.append((title, measure()))
    text = note(done, (time.monotonic() - begun) / 60)
    print(text)
    if not given.only:
        given.reports.joinpath(f"bench_{os.cpu_count()}cores_{datetime.now(UTC):%Y-%m-%d}.md").write_text(text)


if __name__ == "__main__":
    main()
