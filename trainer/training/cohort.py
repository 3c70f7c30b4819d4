"""A cohort: K trials of one recipe trained together as one program. One lane is the same code as many."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from trainer.backbones.flat_parameters import views
from trainer.backbones.public_sit import to_public
from trainer.backbones.sit import SiT
from trainer.data.dataset import Dataset
from trainer.evaluation.evaluator import Evaluator
from trainer.evaluation.frechet import Moments
from trainer.evaluation.full_metric import FullTally
from trainer.evaluation.held_out import Probe
from trainer.recipe import Lane, Recipe
from trainer.rng.streams import Stream, generator
from trainer.sampling.samples import GRID_IMAGES, samples
from trainer.training.initial_weights import read_initial
from trainer.training.loss import TrainingLoss
from trainer.training.running_means import Tallies
from trainer.training.steppers import Trained, stepping
from trainer.training.train_step import Learnt, Update


class Measurement(NamedTuple):
    """One lane at one rung. `lane` is its index in the cohort as built; a diverged lane has no objective.

    `grid` holds the first samples [n, C, H, W] at the last step, else None.
    """

    lane: int
    diverged: bool
    metrics: dict[str, float]
    grid: Tensor | None


class Cohort:
    """Trains, measures, drops and saves its lanes; the caller owns the loop and decides who survives."""

    def __init__(
        self, recipe: Recipe, lanes: Sequence[Lane], data: Dataset, device: torch.device, evaluator: Evaluator
    ) -> None:
        """Raise ValueError if the recipe does not fit the data (patch), or a lane the model (blocks).

        `init_sha256` is of the file that all lanes start from, empty where they start anew. Raises DataError where it
        is no start for this model.
        """
        self.recipe, self.lanes, self.step = recipe, tuple(lanes), 0
        for lane in self.lanes:
            if max(lane.dispersion.blocks) >= recipe.model.depth:
                raise ValueError(f"blocks {lane.dispersion.blocks}: the model has blocks 0 to {recipe.model.depth - 1}")
        self._data, self._device, self._evaluator = data, device, evaluator
        self._split = Trained(data, device)
        self._model = SiT(recipe.model, data.shape, data.classes, recipe.train.time_scale, device)
        begun = read_initial(recipe, self._model)
        self.init_sha256 = begun.sha256 if begun else ""
        initial = {
            seed: begun.weights if begun else self._model.initial_weights(generator(seed, Stream.INIT))
            for seed in {seed for _, seed in lanes}
        }
        flat = torch.stack([initial[seed] for _, seed in lanes]).to(device)
        self._install(tuple(range(len(lanes))), Learnt.initial(flat), Tallies.zeros(len(lanes), device))
        self._probe: Probe | None = None

    @property
    def living(self) -> tuple[int, ...]:
        """The lanes still trained, as indices into `lanes`."""
        return self._living

    def advance(self, until: int) -> None:
        """Train to optimiser step `until`; does nothing if already there, or if no lane is living."""
        while self._living and self.step < until:
            self._take_step(self.step)
            self.step += 1

    def wait(self) -> None:
        """Wait until the device has done what it was asked for; `advance` may return before."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)

    def measure(self, full: bool = False) -> list[Measurement]:
        """Return every living lane's metrics at this step, from its averaged weights.

        Changes nothing, so it can be called again. At the recipe's last step the slower metrics are added and, if
        `full`, the full metric where the recipe has one on this device; the others are the same bit for bit.
        """
        if not self._living:
            return []
        final = self.step >= self.recipe.train.steps
        count = self.recipe.eval.full_count(self._device.type) if full and final else None
        with torch.no_grad():
            weights = views(self._learnt.ema, self._model.layout)
            diverged = ~(self._learnt.ema.isfinite().all(1) & self._tallies.finite()).cpu()
            per_lane = self._tallies.read() | self._probe_metrics(weights, final)
            scored, grids = self._score(weights, diverged, final, count)
        measured = []
        for row, lane in enumerate(self._living):
            metrics = {name: float(value[row]) for name, value in per_lane.items()} | scored[row]
            if self.lanes[lane].dispersion.lam == 0:
                metrics = {name: value for name, value in metrics.items() if name not in TrainingLoss.DISPERSED}
            finite = {name: value for name, value in metrics.items() if math.isfinite(value)}
            bad = bool(diverged[row]) or self.recipe.eval.objective_at(final) not in finite
            measured.append(Measurement(lane, bad, finite, grids[row]))
        return measured

    def draw(self, lane: int, count: int) -> Tensor:
        """Return the first `count` samples [count, C, H, W] of a living lane: those `measure` scores."""
        row = self._living.index(lane)
        weights = views(self._learnt.ema[row : row + 1], self._model.layout)
        recipe, seeds = self.recipe.eval, [self.lanes[lane].seed]
        until = min(count, recipe.samples)
        with torch.no_grad():
            return torch.cat([x[0] for _, x in samples(self._model, weights, recipe, seeds, until=until)])

    def published(self, lane: int) -> dict[str, Tensor]:
        """Return the averaged weights of a living lane, on the CPU, as the public SiT's state dict.

        Some may be views of the cohort's own, which go on with its training.
        """
        row = self._living.index(lane)
        weights = views(self._learnt.ema[row : row + 1], self._model.layout)
        state = to_public(self._model, {name: weight[0] for name, weight in weights.items()})
        return {name: tensor.cpu() for name, tensor in state.items()}

    def keep(self, lanes: Collection[int]) -> None:
        """Go on with these lanes only; the others' weights are dropped. Raises ValueError for a lane not living."""
        if not set(lanes) <= set(self._living):
            raise ValueError(f"lanes {sorted(set(lanes) - set(self._living))} are not alive; alive: {self._living}")
        living = tuple(lane for lane in self._living if lane in lanes)
        if living == self._living:
            return
        rows = torch.tensor([self._living.index(lane) for lane in living], dtype=torch.long, device=self._device)
        self._install(living, self._learnt.select(rows), self._tallies.select(rows))

    def state_dict(self) -> dict[str, Tensor]:
        """Return everything that is not a pure function of (recipe, lanes, step)."""
        state = self._learnt._asdict() | {"step": torch.tensor(self.step)}
        state |= {"living": torch.tensor(self._living, dtype=torch.long)}
        return state | {f"tally.{name}": tally for name, tally in self._tallies.state().items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Continue from a copy of `state`, saved by a cohort of the same recipe and lanes.

        On the CPU it is the same run bit for bit; on CUDA some kernels add in no fixed order, resumed or not.
        """
        self.step = int(state["step"])
        # Copied: training goes on in place, and the caller's tensors are the caller's.
        learnt = Learnt(*(state[name].to(self._device, copy=True) for name in Learnt._fields))
        tallies = {name.removeprefix("tally."): part for name, part in state.items() if name.startswith("tally.")}
        self._install(tuple(int(lane) for lane in state["living"]), learnt, Tallies.load(tallies, self._device))

    def _install(self, living: tuple[int, ...], learnt: Learnt, tallies: Tallies) -> None:
        self._living, self._learnt, self._tallies = living, learnt, tallies
        lanes, train = [self.lanes[lane] for lane in living], self.recipe.train
        update = Update(self._model, train, [lane.dispersion for lane in lanes], learnt, tallies, self.step)
        self._take_step = stepping(update, self._split, train, [lane.seed for lane in lanes])

    def _probe_metrics(self, weights: Mapping[str, Tensor], final: bool) -> dict[str, Tensor]:
        if self._probe is None:
            self._probe = Probe(self._data, self.recipe.eval.probe, self._device)
        metrics = self._probe.health(self._model, weights)
        if final:
            metrics["val_loss"] = self._probe.validation_loss(self._model, weights)
        return {name: value.cpu() for name, value in metrics.items()}

    def _score(
        self, weights: Mapping[str, Tensor], diverged: Tensor, final: bool, count: int | None
    ) -> tuple[list[dict[str, float]], list[Tensor | None]]:
        nothing: list[Tensor | None] = [None] * len(self._living)
        if bool(diverged.all()):
            return [{} for _ in self._living], nothing
        tally = self._evaluator.tally(len(self._living), final)
        recipe, seeds = self.recipe.eval, [self.lanes[lane].seed for lane in self._living]
        grids: list[Tensor] = []
        for start, images_KBCHW in samples(self._model, weights, recipe, seeds, until=tally.count):
            tally.add(images_KBCHW)
            if final and start < GRID_IMAGES:
                grids.append(images_KBCHW[:, : GRID_IMAGES - start].cpu())
        scores = [{} if bad else score for score, bad in zip(tally.metrics(), diverged, strict=True)]
        if count is not None:
            scores = self._with_full(scores, tally.moments, count)
        return scores, list(torch.cat(grids, 1)) if final else nothing

    def _with_full(self, scores: Sequence[dict[str, float]], proxy: Moments, count: int) -> list[dict[str, float]]:
        recipe = self.recipe.eval
        rows = [row for row, score in enumerate(scores) if math.isfinite(score.get(recipe.objective, math.nan))]
        if not rows:
            return list(scores)
        tally = FullTally(self._evaluator, proxy.select(rows), count)
        weights = views(self._learnt.ema[rows], self._model.layout)
        seeds = [self.lanes[self._living[row]].seed for row in rows]
        # Begins anew at the proxy's end, within a batch if need be: the proxy's own samples stay bit for bit.
        for _, images_KBCHW in samples(self._model, weights, recipe, seeds, first=recipe.samples, until=count):
            tally.add(images_KBCHW)
        full = dict(zip(rows, tally.metrics(), strict=True))
        return [score | full.get(row, {}) for row, score in enumerate(scores)]
