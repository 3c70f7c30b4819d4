"""Samples in bfloat16 and by compiled code beside eager float32 ones: time, images and FID, on trained models.

    .venv/bin/python -m tests.benchmarks.bench_sampling [--seeds 0 1] [--samples 2500] [--turns 0]

Trains block_temp's recipe in four settings on every seed (kept in --cache), then draws the same samples of each model
in each way. The ways take turns at a batch of 250; times are of the processor, medians over the turns. "All in bf16" is
torch's autocast around the network, which the product does not have: it is here to say what it would do to FID.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

from trainer.backbones.build import backbone_of
from trainer.backbones.flat_parameters import views
from trainer.backbones.protocol import Conditioning, Network, Output
from trainer.data.dataset import load
from trainer.evaluation.evaluator import Evaluator
from trainer.objectives.build import objective_of
from trainer.recipe import Dispersion, Lane, Recipe
from trainer.runtime.compiler import use_cache
from trainer.runtime.process import prepare
from trainer.sampling.samples import samples
from trainer.training.cohort import Cohort

ROOT, CPU = Path(__file__).parents[2], torch.device("cpu")
SETTINGS = {
    "baseline": Dispersion(),
    "paper's default": Dispersion(blocks=(1,), lam=0.5, tau=0.5),
    "block 3, tau .2 relative": Dispersion(blocks=(3,), lam=0.1, tau=0.2, tau_units="relative"),
    "block 0, tau 1 relative": Dispersion(blocks=(0,), lam=0.1, tau=1.0, tau_units="relative"),
}
ALL_LOW = "eager, all in bf16"
WAYS = {
    "eager, fp32": {"eval.compile": "off", "eval.precision": "fp32"},
    "compiled, fp32": {"eval.compile": "on", "eval.precision": "fp32"},
    "eager, blocks in bf16": {"eval.compile": "off", "eval.precision": "bf16"},
    "compiled, blocks in bf16": {"eval.compile": "on", "eval.precision": "bf16"},
    ALL_LOW: {"eval.compile": "off", "eval.precision": "fp32"},
}
SCORED = ("eager, fp32", "compiled, blocks in bf16", ALL_LOW)


class AllLow(Network):
    """The network under autocast, its prediction in float32 again."""

    def __init__(self, network: Network) -> None:
        super().__init__(network.backbone, network.weights, low=True)

    def __call__(self, x_KBCHW: Tensor, given: Conditioning, taps: Sequence[int] = ()) -> Output:  # type: ignore[override]
        """Call the backbone."""
        return Output(super().__call__(x_KBCHW, given, taps).prediction.float(), {})


class Models:
    """Trained models of the recipe, kept as files."""

    def __init__(self, recipe: Recipe, cache: Path) -> None:
        self.recipe, self._cache = recipe, cache
        self.data = load(recipe.data)
        self.evaluator = Evaluator(recipe.eval, self.data, cache, CPU)
        self._backbone = backbone_of(recipe, self.data.shape, self.data.classes, CPU)

    def network(self, name: str, seed: int) -> Network:
        """Train a setting on a seed, where that is not kept, and return its averaged weights."""
        trained = self.recipe.override({"eval.samples": 10_000}).hash  # however many are drawn
        kept = self._cache / f"{trained}-{list(SETTINGS).index(name)}-{seed}.pt"
        if not kept.exists():
            cohort = Cohort(self.recipe, [Lane(SETTINGS[name], seed)], self.data, CPU, self.evaluator)
            cohort.advance(self.recipe.train.steps)
            torch.save(cohort.state_dict()["ema"], kept)
        return Network(self._backbone, views(torch.load(kept), self._backbone.layout))

    @torch.no_grad()
    def batch(self, way: str, network: Network, seed: int) -> Tensor:
        """Draw one batch."""
        return next(self._drawn(way, network, seed))

    @torch.no_grad()
    def score(self, way: str, network: Network, seed: int) -> float:
        """Return the FID of all samples."""
        tally = self.evaluator.tally(1, final=False)
        for images in self._drawn(way, network, seed):
            tally.add(images)
        return tally.metrics()[0][self.recipe.eval.recorded("fid")]

    def _drawn(self, way: str, network: Network, seed: int) -> Iterator[Tensor]:
        called = AllLow(network) if way == ALL_LOW else network
        recipe = self.recipe.override(WAYS[way])
        for _, images in samples(called, objective_of(recipe), recipe.eval, [seed]):
            yield images


def timed(models: Models, turns: int) -> None:
    """Print what a batch takes in each way, and how far its images are from eager float32's."""
    network, reference = models.network("baseline", 0), Tensor()
    print("| way | ms for 1,000 samples | eager fp32 / this | first batch, s | images' rms difference |")
    print("|---|---|---|---|---|")
    first, apart = {}, {}
    for way in WAYS:
        begun = time.process_time()
        images = models.batch(way, network, 0)
        first[way] = time.process_time() - begun
        reference = images if way == "eager, fp32" else reference
        apart[way] = float((images - reference).square().mean().sqrt())
    taken: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(turns):
        for way, seconds in taken.items():
            begun = time.process_time()
            models.batch(way, network, 0)
            seconds.append(time.process_time() - begun)
    for way, seconds in taken.items():
        ratio = median(a / b for a, b in zip(taken["eager, fp32"], seconds, strict=True))
        each = 1000 * median(seconds) * 1000 / models.recipe.eval.batch
        print(f"| {way} | {each:.0f} | {ratio:.2f} | {first[way]:.1f} | {apart[way]:.1e} |", flush=True)


def scored(models: Models, seeds: Sequence[int], settings: Sequence[str], ways: Sequence[str]) -> None:
    """Print FID in each way by setting and seed, and how far the others are from the first way's."""
    print(f"\n| seed | setting | {' | '.join(ways)} |\n|---|---|{'---|' * len(ways)}")
    for seed in seeds:
        for name in settings:
            network = models.network(name, seed)
            found = [models.score(way, network, seed) for way in ways]
            moved = [f"{each:.4f} ({100 * math.log(each / found[0]):+.3f} %)" for each in found[1:]]
            print(f"| {seed} | {name} | {found[0]:.4f} | {' | '.join(moved)} |", flush=True)


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2, 3], help="of which FID is measured")
    parser.add_argument("--settings", nargs="*", choices=list(SETTINGS), default=list(SETTINGS), help="likewise")
    parser.add_argument(
        "--ways", nargs="*", choices=list(WAYS), default=SCORED, help="likewise; the first is the reference"
    )
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--turns", type=int, default=15, help="at a batch; 0 times nothing")
    parser.add_argument("--cache", type=Path, default=ROOT / "build" / "bench_sampling")
    given = parser.parse_args()
    prepare(1)
    cache = given.cache.absolute()
    cache.mkdir(parents=True, exist_ok=True)
    use_cache(cache)
    print(f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}, load {os.getloadavg()[0]:.1f}\n")
    training = {"steps": 1200, "batch": 32, "lr": 8.0e-3}
    recipe = Recipe.model_validate({"train": training, "eval": {"samples": given.samples}})
    models = Models(recipe, cache)
    if given.turns:
        timed(models, given.turns)
    scored(models, given.seeds, given.settings, given.ways)


if __name__ == "__main__":
    main()
