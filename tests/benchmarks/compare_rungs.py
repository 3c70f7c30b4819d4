"""Does a rung that draws fewer samples decide the same? `python -m tests.benchmarks.compare_rungs studies/X.yaml`.

Trains every cell of a study's screen on all its seeds, as if nothing were pruned, and takes the FID of every number of
samples at every rung before the last. Prints, for each number: how far two disjoint samplings of one model are apart,
how the FID ranks the trials beside that of all samples, and whom the race would stop, seed block by seed block.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import torch
from scipy.stats import spearmanr

from sweeper.planning.trials import rung_steps, screen_trials
from sweeper.records import TrialSpec
from sweeper.search.race import Point, Race
from sweeper.study import Study
from sweeper.study.yaml_files import read_study
from trainer.data.dataset import load
from trainer.evaluation.evaluator import Evaluator
from trainer.evaluation.frechet import Moments
from trainer.recipe import Lane
from trainer.runtime.process import prepare
from trainer.training.cohort import Cohort

COUNTS = (500, 1000, 2500, 5000, 10_000)


class Seen(NamedTuple):
    """One trial: FIDs of disjoint parts of its samples, by rung (the last has one of all alone) and by part's size."""

    spec: TrialSpec
    fids: tuple[dict[int, list[float]], ...]

    def first(self, rung: int, count: int) -> float:
        """The FID of the first `count` samples at a rung, NaN where the trial diverged."""
        fids = self.fids[rung]
        return fids.get(count, fids[max(fids)])[0]


def train(study: Study, spec: TrialSpec, counts: Sequence[int], cache: Path) -> Seen:
    """Train one trial and score it at every rung."""
    prepare(1)
    recipe, device = spec.cell.recipe(study.recipe), torch.device("cpu")
    data = load(recipe.data)
    evaluator = Evaluator(recipe.eval, data, cache, device)
    cohort = Cohort(recipe, [Lane(spec.cell.dispersion, spec.seed)], data, device, evaluator)
    steps, found = rung_steps(study, recipe), []
    for step in steps:
        cohort.advance(step)
        features = evaluator.extractor(cohort.draw(0, recipe.eval.samples))
        sizes = [recipe.eval.samples] if step == steps[-1] else counts
        found.append({size: _fids(evaluator, features, size) for size in sizes})
    return Seen(spec, tuple(found))


def _fids(evaluator: Evaluator, features_ND: torch.Tensor, size: int) -> list[float]:
    if not features_ND.isfinite().all():
        return [math.nan]
    # Disjoint parts are scored as if they were lanes.
    moments = Moments(len(features_ND) // size, evaluator.extractor.dim, "cpu")
    moments.add(features_ND[: len(features_ND) // size * size].view(len(moments.mean), size, -1))
    return evaluator.references.gaussian.frechet_distance(moments)


def table(study: Study, seen: Sequence[Seen], counts: Sequence[int]) -> str:
    """Say what fewer samples change, as markdown."""
    whole = study.recipe.eval.samples
    rungs = range(len(study.screen.rungs) - 1)
    lines = [
        "| samples | FID / FID of all | sd of log FID, samplings | Spearman's rho, trials | race stops | unlike all |",
        "|---|---|---|---|---|---|",
    ]
    stopped = {count: stops(study, seen, count) for count in {*counts, whole}}
    for count in counts:
        pairs = [(one.first(rung, count), one.first(rung, whole)) for one in seen for rung in rungs]
        pairs = [pair for pair in pairs if all(map(math.isfinite, pair))]
        spreads = [
            statistics.variance(map(math.log, one.fids[rung][count]))
            for one in seen
            for rung in rungs
            if len(one.fids[rung][count]) > 1
        ]
        spread = f"{math.sqrt(statistics.mean(spreads)):.3f}" if spreads else "-"
        ratio = statistics.median(few / every for few, every in pairs)
        rho = spearmanr(*zip(*pairs, strict=True)).statistic
        decided, usual = stopped[count], stopped[whole]
        differ = sum(decided.get(cell) != usual.get(cell) for cell in decided.keys() | usual.keys())
        lines.append(f"| {count:,} | {ratio:.2f} | {spread} | {rho:.3f} | {len(decided)} | {differ} |")
    return "\n".join(lines) + "\n"


def stops(study: Study, seen: Sequence[Seen], count: int) -> dict[str, int]:
    """Return whom the race stops, and after how many seed blocks, when earlier rungs draw `count` samples.

    A block's earlier rungs are heard before its ends, and who is stopped there trains no further.
    """
    panel, out = Race(study.screen.rungs), dict[str, int]()
    for block, seed in enumerate(study.screen.seeds, 1):
        for rung in range(len(study.screen.rungs)):
            for one in seen:
                cell = one.spec.cell
                if one.spec.seed == seed and cell.role != "control" and cell.key not in out:
                    panel.observe(Point(cell.key, seed, rung), one.first(rung, count))
            out |= dict.fromkeys(panel.hopeless() - out.keys(), block)
    return out


def main() -> None:
    """Train and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    study = read_study(given.study)
    trials, counts = screen_trials(study), [count for count in COUNTS if count <= study.recipe.eval.samples]
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(given.workers) as pool:
        cache = Path(folder)
        # One extractor for all: the first trial makes it.
        first = pool.submit(train, study, trials[0], counts, cache).result()
        rest = [pool.submit(train, study, spec, counts, cache) for spec in trials[1:]]
        seen = [first, *(one.result() for one in rest)]
    print(table(study, seen, counts))


if __name__ == "__main__":
    main()
