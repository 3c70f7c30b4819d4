"""A cohort: K trials of one recipe trained together as one program. One lane is the same code as many."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from trainer.backbones.build import backbone_of
from trainer.backbones.flat_parameters import views
from trainer.backbones.protocol import Network
from trainer.data.dataset import Dataset
from trainer.evaluation.evaluator import Evaluator
from trainer.evaluation.frechet import Moments
from trainer.evaluation.full_metric import FullTally
from trainer.evaluation.held_out import HeldOut
from trainer.evaluation.linear_probe import LinearProbe
from trainer.objectives.build import objective_of
from trainer.recipe import METRICS, Lane, MetricName, Recipe
from trainer.regularisers.build import dispersive_names, regulariser_of
from trainer.regularisers.lam_schedule import over_active_steps
from trainer.regularisers.protocol import Regulariser
from trainer.sampling.guidance_curve import guidance_curve
from trainer.sampling.samples import GRID_IMAGES, samples
from trainer.training.alignment_targets import FrozenEncoder, encoder_of
from trainer.training.batches import TrainingSplit
from trainer.training.flops import training_flops
from trainer.training.gradient_ratio import GRADIENT_RATIO, gradient_ratio
from trainer.training.initial_weights import read_initial
from trainer.training.lane_state import LaneState, initial_lanes
from trainer.training.running_means import RunningMeans
from trainer.training.second_view import with_second_view
from trainer.training.steppers import stepper
from trainer.training.train_step import TrainStep


class Measurement(NamedTuple):
    """One lane at one rung. `lane` is its index in the cohort as built; a diverged lane has no objective.

    `grid` holds the first samples [n, C, H, W] at the last step, else None.
    """

    lane: int
    diverged: bool
    metrics: dict[str, float]
    grid: Tensor | None


class Cohort:
    """Trains, measures, drops and saves its lanes; the caller owns the loop and decides who survives.

    >>> from trainer.data.dataset import load
    >>> from trainer.recipe import Dispersion
    >>> recipe = Recipe.model_validate({"model": {"width": 8, "depth": 1, "heads": 1}, "train": {"steps": 4}})
    >>> data, device = load(recipe.data), torch.device("cpu")
    >>> evaluator = Evaluator(recipe.eval, data, Path(), device)  # its extractor is made when it is first needed
    >>> lanes = [Lane(Dispersion(), seed=0), Lane(Dispersion(blocks=(0,), lam=0.1), seed=0)]
    >>> cohort = Cohort(recipe, lanes, data, device, evaluator)
    >>> cohort.advance(until=2)
    >>> cohort.keep([1])  # `measure` says of each living lane what to decide that by
    >>> cohort.step, cohort.living
    (2, (1,))
    """

    def __init__(
        self,
        recipe: Recipe,
        lanes: Sequence[Lane],
        data: Dataset,
        device: torch.device,
        evaluator: Evaluator,
        encoder: FrozenEncoder | None = None,
    ) -> None:
        """Raise ValueError if the recipe does not fit the data (patch), a lane the model (blocks) or the other lanes.

        `init_sha256` is of the file that all lanes start from, empty where they start anew; `source_sha256` of a user's
        code that the model is made of. Raises DataError where the file is no start for this model. `encoder` takes the
        place of REPA's, for timing.
        """
        self.recipe, self.lanes, self.step = recipe, tuple(lanes), 0
        self._backbone = backbone_of(recipe, data.shape, data.classes, device)
        self._data, self._device, self._evaluator, self._given_encoder = data, device, evaluator, encoder
        self._regulariser = self._regulariser_of(self.lanes)
        self._split = TrainingSplit.of(data, device, recipe.data.flip)
        self._objective = objective_of(recipe)
        begun = read_initial(recipe, self._backbone)
        self.init_sha256, self.source_sha256 = begun.sha256 if begun else "", self._backbone.source_sha256
        seeds = [lane.seed for lane in lanes]
        learnt = initial_lanes(self._backbone, self._regulariser, seeds, device, begun.weights if begun else None)
        means = RunningMeans.zeros(*self._recorded(), len(lanes), device)
        self._install(tuple(range(len(lanes))), learnt, means)
        self._held_out: HeldOut | None = None
        self._probe = LinearProbe(data, self._objective, recipe.eval, device)

    @property
    def encoder_sha256(self) -> str:
        """The hash of the weights of REPA's frozen encoder; empty where nothing is aligned."""
        return self._encoder.sha256 if self.recipe.train.repa else ""

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
        """Wait until the device has finished its queued work; `advance` may return before."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)

    def train_losses(self) -> dict[int, float]:
        """Return the training loss of every living lane, a mean over about the last 50 steps; waits for the device."""
        return dict(zip(self._living, self._means.read()["train_loss"].tolist(), strict=True)) if self._living else {}

    def train_flops(self, lane: int) -> float | None:
        """Return the operations of training a lane to its end, by formula; None of a network that is not counted."""
        return training_flops(self._backbone, self.recipe, self.lanes[lane].setting)

    def measure(self, full: bool = False, objective: MetricName = "fid") -> list[Measurement]:
        """Return every living lane's metrics at this step, from its averaged weights.

        No side effects, so it can be called again. Before the recipe's last step it measures what the `objective`
        needs, and draws samples only for that; a lane without an objective has diverged. The last step adds the slower
        metrics. `full` adds the finalists' metrics: the guidance curve and, at the last step, the full metric where the
        recipe has one on this device. The others are the same bit for bit.
        """
        if not self._living:
            return []
        final = self.step >= self.recipe.train.steps
        with torch.no_grad():
            network = self._network()
            diverged = ~(self._learnt.ema.isfinite().all(1) & self._means.finite()).cpu()
            per_lane = self._means.read() | self._held_out_metrics(network, final, objective)
            scored, grids = self._score(network, diverged, final, full, objective)
        dispersive = dispersive_names(self._regulariser)
        measured = []
        for row, lane in enumerate(self._living):
            metrics = {name: float(value[row]) for name, value in per_lane.items()} | scored[row]
            if self.lanes[lane].setting.lam == 0:
                metrics = {name: value for name, value in metrics.items() if name not in dispersive}
            metrics = over_active_steps(metrics, self.lanes[lane].setting, self.step, self.recipe.train.steps)
            finite = {name: value for name, value in metrics.items() if math.isfinite(value)}
            bad = bool(diverged[row]) or self.recipe.eval.recorded(objective, final) not in finite
            measured.append(Measurement(lane, bad, finite, grids[row]))
        return measured

    def draw(self, lane: int, count: int) -> Tensor:
        """Return the first `count` samples [count, C, H, W] of a living lane: those `measure` scores."""
        network = self._network([self._living.index(lane)])
        recipe, seeds = self.recipe.eval, [self.lanes[lane].seed]
        until = min(count, recipe.samples)
        with torch.no_grad():
            return torch.cat([x[0] for _, x in samples(network, self._objective, recipe, seeds, until=until)])

    def published(self, lane: int) -> dict[str, Tensor]:
        """Return the averaged weights of a living lane, on the CPU, as a file of them has them."""
        weights = self._network([self._living.index(lane)]).weights
        state = self._backbone.state_dict({name: weight[0] for name, weight in weights.items()})
        return {name: tensor.cpu() for name, tensor in state.items()}

    def keep(self, lanes: Collection[int]) -> None:
        """Go on with these lanes only; the others' weights are dropped. Raises ValueError for a lane not living."""
        if not set(lanes) <= set(self._living):
            raise ValueError(f"lanes {sorted(set(lanes) - set(self._living))} are not alive; alive: {self._living}")
        living = tuple(lane for lane in self._living if lane in lanes)
        if living == self._living:
            return
        rows = torch.tensor([self._living.index(lane) for lane in living], dtype=torch.long, device=self._device)
        self._install(living, self._learnt.select(rows), self._means.select(rows))

    def state_dict(self) -> dict[str, Tensor]:
        """Return everything that is not a pure function of (recipe, lanes, step)."""
        state = self._learnt.named() | {"step": torch.tensor(self.step)}
        state |= {"living": torch.tensor(self._living, dtype=torch.long)}
        return state | {f"tally.{name}": mean for name, mean in self._means.state().items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Continue from a copy of `state`, saved by a cohort of the same recipe and lanes.

        On the CPU it is the same run bit for bit; on CUDA some kernels add in no fixed order, resumed or not.
        """
        self.step = int(state["step"])
        # Copied: training works in place, and must not change the caller's tensors.
        learnt = LaneState.of(state).copied(self._device)
        means = {name.removeprefix("tally."): part for name, part in state.items() if name.startswith("tally.")}
        loaded = RunningMeans.load(*self._recorded(), means, self._device)
        self._install(tuple(int(lane) for lane in state["living"]), learnt, loaded)

    def _recorded(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        return (*self._objective.recorded, *self._regulariser.recorded), self._regulariser.counted

    def _regulariser_of(self, lanes: Sequence[Lane]) -> Regulariser:
        return regulariser_of(lanes, self.recipe.train, self._backbone, lambda: self._encoder, self._device)

    @cached_property
    def _encoder(self) -> FrozenEncoder:
        repa = self.recipe.train.repa
        assert repa is not None
        return self._given_encoder or encoder_of(repa, self._data, self._evaluator.cache, self._device)

    def _install(self, living: tuple[int, ...], learnt: LaneState, means: RunningMeans) -> None:
        self._living, self._learnt, self._means = living, learnt, means
        if not living:
            return
        lanes, train = [self.lanes[lane] for lane in living], self.recipe.train
        regulariser = self._regulariser_of(lanes)
        step = TrainStep(self._backbone, self._objective, regulariser, train, learnt, means, self.step)
        wanted = with_second_view(self._objective.draws, train.contrastive)
        self._take_step = stepper(step, wanted, self._split, train, [lane.seed for lane in lanes])

    def _network(self, rows: Sequence[int] | slice = slice(None)) -> Network:
        """Return the averaged weights of some living lanes, ready to be called."""
        return Network(self._backbone, views(self._learnt.ema[rows], self._backbone.layout))

    def _held_out_metrics(self, network: Network, final: bool, objective: MetricName) -> dict[str, Tensor]:
        if self._held_out is None:
            self._held_out = HeldOut(self._data, self._objective, self.recipe.eval.probe, self._device)
        metrics = self._held_out.metrics(network, final, objective) | self._probe.metrics(network, final)
        if final:
            settings = [self.lanes[lane].setting for lane in self._living]
            batch = self._held_out.batch(network.lanes, self.recipe.train.batch)
            metrics[GRADIENT_RATIO] = gradient_ratio(network, self._objective, settings, batch)
        return {name: value.cpu() for name, value in metrics.items()}

    def _score(
        self, network: Network, diverged: Tensor, final: bool, full: bool, objective: MetricName
    ) -> tuple[list[dict[str, float]], list[Tensor | None]]:
        nothing: list[Tensor | None] = [None] * len(self._living)
        if bool(diverged.all()) or not (final or METRICS[objective].sampled):
            return [{} for _ in self._living], nothing
        tally = self._evaluator.tally(len(self._living), final, objective)
        recipe, seeds = self.recipe.eval, [self.lanes[lane].seed for lane in self._living]
        grids: list[Tensor] = []
        for start, images_KBCHW in samples(network, self._objective, recipe, seeds, until=tally.count):
            tally.add(images_KBCHW)
            if final and start < GRID_IMAGES:
                grids.append(images_KBCHW[:, : GRID_IMAGES - start].cpu())
        scores = [{} if bad else score for score, bad in zip(tally.metrics(), diverged, strict=True)]
        if full:
            scores = self._with_full(scores, tally.moments, final)
        return scores, list(torch.cat(grids, 1)) if final else nothing

    def _with_full(self, scores: Sequence[dict[str, float]], proxy: Moments, final: bool) -> list[dict[str, float]]:
        """Add the metrics of finalists: guidance at several scales and, at the end, FID of more samples."""
        recipe = self.recipe.eval
        name = recipe.recorded("fid", final)
        rows = [row for row, score in enumerate(scores) if math.isfinite(score.get(name, math.nan))]
        if not rows:
            return list(scores)
        network, seeds = self._network(rows), [self.lanes[self._living[row]].seed for row in rows]
        added = guidance_curve(network, self._objective, self._evaluator, seeds)
        count = recipe.full_count(self._device.type) if final else None
        if count is not None:
            full = self._full(network, seeds, proxy.select(rows), count)
            added = [of_full | of_curve for of_full, of_curve in zip(full, added, strict=True)]
        by_row = dict(zip(rows, added, strict=True))
        return [score | by_row.get(row, {}) for row, score in enumerate(scores)]

    def _full(self, network: Network, seeds: Sequence[int], proxy: Moments, count: int) -> list[dict[str, float]]:
        tally, recipe = FullTally(self._evaluator, proxy, count), self.recipe.eval
        # Begins anew at the proxy's end, within a batch if need be: the proxy's own samples stay bit for bit.
        for _, images_KBCHW in samples(network, self._objective, recipe, seeds, first=recipe.samples, until=count):
            tally.add(images_KBCHW)
        return tally.metrics()
