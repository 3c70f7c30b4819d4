"""`make compare-fid BASE=revision`: FID-10K before and after a change of numbers, paired over seeds.

Trains the digits-compact baseline and the paper's default cell on four seeds with the trainer of another revision and
with this one, in processes side by side, and prints a markdown table. A change is harmless when the interval of its
paired difference holds 0 and is no wider than what seeds do anyway.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
STEPS, SEEDS = 1200, (0, 1, 2, 3)
ARMS = {"baseline": {"lam": 0.0}, "paper's default": {"blocks": [1], "lam": 0.5, "tau": 0.5}}
# Of Student's t with three degrees of freedom, both sides together 5 %.
T_3 = 3.182


class Trial(NamedTuple):
    """What one process trains: which tree's trainer, which arm, which seed."""

    tree: Path
    arm: str
    seed: int


def train(arm: str, seed: int, cache: Path) -> dict[str, float]:
    """Train one trial with the trainer that is imported, and return its last rung."""
    import torch

    from trainer.data.dataset import load
    from trainer.evaluation.evaluator import Evaluator
    from trainer.recipe import Dispersion, Lane, Recipe
    from trainer.training.cohort import Cohort

    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    recipe = Recipe.model_validate({"train": {"steps": STEPS, "batch": 32, "lr": 8.0e-3}})
    data, device = load(recipe.data), torch.device("cpu")
    lane = Lane(Dispersion.model_validate(ARMS[arm]), seed)
    cohort = Cohort(recipe, [lane], data, device, Evaluator(recipe.eval, data, cache, device))
    cohort.advance(STEPS)
    return cohort.measure()[0].metrics


def _run(trial: Trial, cache: Path) -> dict[str, float]:
    command = [sys.executable, __file__, "--arm", trial.arm, "--seed", str(trial.seed), "--cache", str(cache)]
    environment = os.environ | {"PYTHONPATH": str(trial.tree), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=trial.tree, env=environment, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def table(base: Path, workers: int, cache: Path) -> str:
    """Train everything and return the comparison."""
    # One extractor for all: the first trial makes it.
    trials = [Trial(tree, arm, seed) for seed in SEEDS for arm in ARMS for tree in (base, ROOT)]
    first = _run(trials[0], cache)
    with ThreadPoolExecutor(workers) as pool:
        found = dict(zip(trials[1:], pool.map(lambda trial: _run(trial, cache), trials[1:]), strict=True))
    found[trials[0]] = first
    lines = ["| arm | metric | before | after | log ratio, paired [95 %] |", "|---|---|---|---|---|"]
    for arm in ARMS:
        for metric in ("fid_10k", "val_loss", "recall_10k"):
            before, after = ([found[Trial(tree, arm, seed)][metric] for seed in SEEDS] for tree in (base, ROOT))
            ratios = [math.log(b / a) for a, b in zip(before, after, strict=True)]
            mean = sum(ratios) / len(ratios)
            spread = math.sqrt(sum((one - mean) ** 2 for one in ratios) / (len(ratios) - 1))
            reach = T_3 * spread / math.sqrt(len(ratios))
            shown = (" ".join(f"{value:.4g}" for value in part) for part in (before, after))
            lines.append(
                f"| {arm} | {metric} | {' | '.join(shown)} | {mean:+.3f} [{mean - reach:+.3f}, {mean + reach:+.3f}] |"
            )
    return "\n".join(lines)


def main() -> None:
    """Compare with a revision, or train one trial for such a comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base", nargs="?", help="revision to compare with")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--arm")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--cache", type=Path)
    given = parser.parse_args()
    if given.arm:
        print(json.dumps(train(given.arm, given.seed, given.cache)))
        return
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder, "base")
        subprocess.run(["git", "worktree", "add", "--detach", str(tree), given.base], cwd=ROOT, check=True)
        try:
            print(table(tree, given.workers, Path(folder, "cache")))
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(tree)], cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
