"""`make compare-speed BASE=revision`: an optimiser step before and after a change, taken in turns, and what it learnt.

Two processes train the same cohorts, one with the trainer of another revision and one with this one; they take turns
of some steps, so that whatever else the machine does slows both. Pairs of processes are started several times over: the
same code is up to 3 % faster in one process than in another. A markdown table has the ratio of their processor
times (on one thread a clock's, were the machine idle), and whether weights and metrics are the same bit for bit.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).parents[2]
WARM_UP, TURN = 20, 10  # optimiser steps
PAPER = {"blocks": [1], "lam": 0.5, "tau": 0.5}
MIXED = [
    {"lam": 0.0},
    {"blocks": [0, 2], "lam": 0.25, "tau": 0.5, "tau_units": "relative"},
    {"blocks": [1], "lam": 0.1, "tau": 0.5, "variant": "cosine"},
    {"blocks": [1, 3], "lam": 0.1, "tau": 0.5, "variant": "hinge"},
    {"blocks": [3], "lam": 0.1, "variant": "covariance"},
]
# name: the recipe's changes, and the lanes' settings
COHORTS: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {
    "digits, baseline": ({}, [{"lam": 0.0}]),
    "digits, paper's default": ({}, [PAPER]),
    "digits, five lanes of four variants": ({"train.batch": 16}, MIXED),
    "digits, bf16": ({"train.precision": "bf16"}, [PAPER]),
    "mnist5k": ({"data.name": "mnist5k", "model.preset": "mnist-compact", "model.depth": 4}, [PAPER]),
}


def serve(name: str, cache: Path) -> None:
    """Train a cohort a turn a line of standard input; at its end print digests of what was learnt and measured."""
    import torch

    from trainer.recipe import Dispersion, Lane, Recipe

    # The trainer's modules moved into rooms on 2026-11-26.
    try:
        from trainer.data.dataset import load
        from trainer.evaluation.evaluator import Evaluator
        from trainer.training.cohort import Cohort
    except ImportError:
        from trainer.cohort import Cohort  # type: ignore[no-redef,import-not-found]
        from trainer.data import load  # type: ignore[no-redef,attr-defined]
        from trainer.evaluate import Evaluator  # type: ignore[no-redef,import-not-found]
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    changes, settings = COHORTS[name]
    tree: dict[str, Any] = {"eval": {"samples": 100, "full_samples": "none", "nfe": 4}}
    for dotted, value in changes.items():
        part, leaf = dotted.split(".")
        tree.setdefault(part, {})[leaf] = value
    recipe = Recipe.model_validate(tree)
    data, device = load(recipe.data), torch.device("cpu")
    lanes = [Lane(Dispersion.model_validate(setting), seed) for seed, setting in enumerate(settings)]
    cohort = Cohort(recipe, lanes, data, device, Evaluator(recipe.eval, data, cache, device))
    cohort.advance(WARM_UP)
    print(json.dumps(recipe.hash), flush=True)
    for _ in iter(sys.stdin.readline, "end\n"):
        begun = time.process_time()
        cohort.advance(cohort.step + TURN)
        print(json.dumps((time.process_time() - begun) / TURN), flush=True)
    state = cohort.state_dict()
    learnt = hashlib.sha256(b"".join(state[part].numpy().tobytes() for part in ("weights", "ema", "exp_avg_sq")))
    measured = [one.metrics for one in cohort.measure()]
    print(json.dumps([learnt.hexdigest(), hashlib.sha256(json.dumps(measured).encode()).hexdigest()]), flush=True)


class Trainer:
    """The process that trains one cohort with one tree's trainer."""

    def __init__(self, tree: Path, name: str, cache: Path) -> None:
        environment = os.environ | {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, __file__, "--serve", name, "--cache", str(cache)]
        self.process = subprocess.Popen(command, cwd=tree, env=environment, stdin=-1, stdout=-1, text=True)

    def ask(self, line: str) -> None:
        """Begin a turn."""
        assert self.process.stdin
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def answer(self) -> Any:
        """Wait for what it says next."""
        assert self.process.stdout
        return json.loads(self.process.stdout.readline())


def compared(base: Path, name: str, turns: int, starts: int, cache: Path) -> str:
    """Return a row of the table, over pairs of processes started one after the other."""
    pairs = [_pair(base, name, max(2, turns // starts), cache) for _ in range(starts)]
    seconds = [turn for pair in pairs for turn in pair[0]]
    same = ["same" if all(pair[1][place] for pair in pairs) else "OTHER" for place in range(3)]
    # By pair, so that one lucky process does not count as often as it has turns.
    ratios = [median(b / a for a, b in pair[0]) for pair in pairs]
    ms = " | ".join(f"{1000 * median(part):.2f}" for part in zip(*seconds, strict=True))
    return f"| {name} | {ms} | {median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f}) | {' | '.join(same)} |"


def _pair(base: Path, name: str, turns: int, cache: Path) -> tuple[list[tuple[float, float]], tuple[bool, ...]]:
    """Train in two processes by turns; return seconds a step, and whether hashes, weights and metrics are the same."""
    trainers = [Trainer(tree, name, cache) for tree in (base, ROOT)]
    hashes = [trainer.answer() for trainer in trainers]
    seconds: list[tuple[float, float]] = []
    for turn in range(turns):
        took = [0.0, 0.0]
        # Who begins changes, so that neither always has the other's heat.
        for index in (turn % 2, 1 - turn % 2):
            trainers[index].ask("on")
            took[index] = trainers[index].answer()
        seconds.append((took[0], took[1]))
    for trainer in trainers:
        trainer.ask("end")
    before, after = (trainer.answer() for trainer in trainers)
    return seconds, (hashes[0] == hashes[1], *(a == b for a, b in zip(before, after, strict=True)))


@contextlib.contextmanager
def checkout(revision: str) -> Iterator[Path]:
    """Check a revision out beside this one."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder, "base")
        subprocess.run(["git", "worktree", "add", "-q", "--detach", str(tree), revision], cwd=ROOT, check=True)
        try:
            yield tree
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(tree)], cwd=ROOT, check=True)


def main() -> None:
    """Compare with a revision, or train for such a comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base", nargs="?", help="revision to compare with")
    parser.add_argument("--turns", type=int, default=40, help="of each cohort, over all starts")
    parser.add_argument("--starts", type=int, default=5, help="pairs of processes a cohort")
    parser.add_argument("--only", nargs="*", choices=list(COHORTS), default=list(COHORTS))
    parser.add_argument("--serve", choices=list(COHORTS), help=argparse.SUPPRESS)
    parser.add_argument("--cache", type=Path, default=ROOT / "build" / "compare_speed", help="extractors, made once")
    given = parser.parse_args()
    if given.serve:
        serve(given.serve, given.cache)
        return
    ratio = "ratio by pair of processes, median (range)"
    print(f"| cohort | ms a step before | after | {ratio} | recipe hash | weights | metrics |")
    print("|---|---|---|---|---|---|---|")
    with checkout(given.base) as tree:
        for name in given.only:
            print(compared(tree, name, given.turns, given.starts, given.cache.absolute()), flush=True)


if __name__ == "__main__":
    main()
