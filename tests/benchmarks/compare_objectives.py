"""SiT, DiT and MeanFlow on digits at equal compute: `python -m tests.benchmarks.compare_objectives --seeds 20 21 22`.

Each trains without dispersion, by the recipe of its shipped study, for as many steps as make its training and its
FID-10K together as long as SiT's, in processor time of one thread, which other processes disturb little. MeanFlow's
steps take longer, and its samples a fifth.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import NamedTuple

import torch

from sweeper.study.yaml_files import read_study
from tests.places import ROOT
from trainer.data.dataset import load
from trainer.evaluation.evaluator import Evaluator
from trainer.recipe import Dispersion, Lane, Recipe
from trainer.training.cohort import Cohort

CPU = torch.device("cpu")
STUDIES = {"SiT": "block_temp", "DiT": "dit", "MeanFlow, 2 NFE": "scope"}
TRIED = 30  # steps whose time tells how many there may be


class Found(NamedTuple):
    """One trial: its steps, what they and its FID-10K took in seconds of one thread, and the FID."""

    steps: int
    train_s: float
    eval_s: float
    fid: float


def cohort(recipe: Recipe, seed: int, cache: Path) -> Cohort:
    """Make a lane without dispersion."""
    data = load(recipe.data)
    return Cohort(recipe, [Lane(Dispersion(), seed)], data, CPU, Evaluator(recipe.eval, data, cache, CPU))


def trained(recipe: Recipe, seed: int, cache: Path) -> Found:
    """Train a lane to its end and measure it."""
    made, begun = cohort(recipe, seed, cache), time.process_time()
    made.advance(recipe.train.steps)
    train_s, begun = time.process_time() - begun, time.process_time()
    (one,) = made.measure()
    return Found(recipe.train.steps, train_s, time.process_time() - begun, one.metrics[recipe.eval.recorded("fid")])


def step_seconds(recipe: Recipe, cache: Path) -> float:
    """Return what a step takes."""
    made = cohort(recipe, 0, cache)
    made.advance(TRIED)
    begun = time.process_time()
    made.advance(2 * TRIED)
    return (time.process_time() - begun) / TRIED


def main() -> None:
    """Print a markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[20, 21, 22])
    parser.add_argument("--cache", type=Path, default=ROOT / ".sweeper" / "cache")
    parser.add_argument("--only", nargs="+", choices=STUDIES, default=[*STUDIES], help="beside SiT")
    given = parser.parse_args()
    torch.set_num_threads(1)
    given.cache.mkdir(parents=True, exist_ok=True)
    print("| seed | objective | steps | training s | FID-10K s | FID-10K | / SiT's |\n|---|---|---|---|---|---|---|")
    for seed in given.seeds:
        whole: Found | None = None
        for name, study in STUDIES.items():
            if whole is not None and name not in given.only:
                continue
            recipe = read_study(ROOT / "studies" / f"{study}.yaml").recipe.override({"eval.full_samples": "none"})
            if whole is not None:
                eval_s = trained(recipe.override({"train.steps": 2}), seed, given.cache).eval_s
                left = whole.train_s + whole.eval_s - eval_s
                recipe = recipe.override({"train.steps": max(2, int(left / step_seconds(recipe, given.cache)))})
            found = trained(recipe, seed, given.cache)
            whole = whole or found
            row = (f"{found.train_s:.0f}", f"{found.eval_s:.0f}", f"{found.fid:.2f}", f"{found.fid / whole.fid:.2f}")
            print(f"| {seed} | {name} | {found.steps:,} | {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
