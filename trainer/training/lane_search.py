"""Find the number of lanes that a device trains fastest, by timing: more help until kernels fill it or memory ends."""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Callable
from typing import NamedTuple

import torch

from trainer.backbones.build import backbone_of
from trainer.backbones.flat_parameters import views
from trainer.backbones.protocol import Network
from trainer.data.dataset import Dataset
from trainer.objectives.build import objective_of
from trainer.recipe import Dispersion, Lane, Recipe
from trainer.recipe.regulariser import Bank
from trainer.regularisers.build import regulariser_of
from trainer.sampling.samples import samples
from trainer.training.alignment_targets import untrained_encoder
from trainer.training.batches import TrainingSplit
from trainer.training.lane_state import initial_lanes
from trainer.training.running_means import RunningMeans
from trainer.training.second_view import with_second_view
from trainer.training.steppers import stepper
from trainer.training.train_step import TrainStep

logger = logging.getLogger(__name__)

GROWTH = 1.05  # in trials an hour: less is not worth twice the memory
MOST = 256
MEMORY = 0.9  # of what is free; the rest is for evaluation's extractor and for other cohorts' peaks
WARM_UPS, STEPS = 6, 12


class LaneCost(NamedTuple):
    """What so many lanes take together: seconds a step and a batch of samples, and bytes of memory at most."""

    lanes: int
    step_s: float
    samples_s: float
    memory: int

    def trial_seconds(self, recipe: Recipe, evaluations: float) -> float:
        """Return the seconds of one trial, the lanes sharing them."""
        sampling = evaluations * self.samples_s * recipe.eval.samples / recipe.eval.batch
        return (recipe.train.steps * self.step_s + sampling) / self.lanes


def measured_lanes(
    recipe: Recipe,
    data: Dataset,
    device: torch.device,
    share: float = 1.0,
    evaluations: float = 1,
    bank: Bank | None = None,
) -> LaneCost:
    """Double the lanes while trials an hour grow by 5 % and memory lasts; return the best. Takes seconds a doubling.

    `share` is the part of the device's memory that is ours, `evaluations` how often a trial draws all of eval.samples,
    `bank` the largest memory bank that a lane may have.
    Raises torch.OutOfMemoryError where not even one lane fits.
    """
    split = TrainingSplit.of(data, device, recipe.data.flip)
    memory = MOST * 2**40
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        memory = int(MEMORY * min(free, share * total))

    def measure(lanes: int) -> LaneCost | None:
        try:
            return lane_cost(recipe, data, split, lanes, bank)
        except torch.OutOfMemoryError:
            if lanes == 1:
                raise
            return None
        finally:
            _give_back(device)

    best = best_lanes(measure, lambda cost: cost.trial_seconds(recipe, evaluations), memory)
    logger.info("%d lanes train fastest on %s", best.lanes, device)
    return best


def best_lanes(
    measure: Callable[[int], LaneCost | None], seconds: Callable[[LaneCost], float], memory: int
) -> LaneCost:
    """Return the cost of the number of lanes to use: 1, 2, 4, .. as long as it pays.

    `measure` returns None where memory runs out; it is not called where that is predictable. `seconds` are a trial's.
    """
    cost, before = measure(1), None
    assert cost is not None
    while cost.lanes < MOST:
        # The memory of the next doubling is predicted from the last one.
        added = 2 * (cost.memory - before.memory) if before else 0
        if cost.memory + added > memory:
            break
        more = measure(2 * cost.lanes)
        if more is None or more.memory > memory or seconds(cost) < GROWTH * seconds(more):
            break
        before, cost = cost, more
    return cost


def lane_cost(recipe: Recipe, data: Dataset, split: TrainingSplit, lanes: int, bank: Bank | None = None) -> LaneCost:
    """Time steps and sampling of `lanes` lanes of one seed, all of which disperse, on the split's device."""
    device = split.images.device
    model, objective = backbone_of(recipe, data.shape, data.classes, device), objective_of(recipe)
    chosen = [Lane(_setting(lane, len(model.taps), bank), 0) for lane in range(lanes)]
    regulariser = regulariser_of(chosen, recipe.train, model, lambda: untrained_encoder(recipe, data, device), device)
    learnt = initial_lanes(model, regulariser, [0] * lanes, device)
    means = RunningMeans.zeros((*objective.recorded, *regulariser.recorded), regulariser.counted, lanes, device)
    update = TrainStep(model, objective, regulariser, recipe.train, learnt, means, 0)
    wanted = with_second_view(objective.draws, recipe.train.contrastive)
    take_step = stepper(update, wanted, split, recipe.train, [0] * lanes)
    for step in range(WARM_UPS):
        take_step(step)
    begun = _now(device)
    for step in range(WARM_UPS, WARM_UPS + STEPS):
        take_step(step)
    step_s = (_now(device) - begun) / STEPS
    network = Network(model, views(learnt.ema, model.layout))
    with torch.no_grad():
        # First eager, then captured, then replayed: an evaluation consists of replays, so only the last counts.
        batches = samples(network, objective, recipe.eval, [0] * lanes, until=3 * recipe.eval.batch)
        next(batches), next(batches)
        begun = _now(device)
        next(batches)
        samples_s = _now(device) - begun
    memory = torch.cuda.max_memory_reserved(device) if device.type == "cuda" else 0
    return LaneCost(lanes, step_s, samples_s, memory)


def _setting(lane: int, depth: int, bank: Bank | None) -> Dispersion:
    entries, blocks = bank or ("batch", 1)
    chosen = tuple((lane + place) % depth for place in range(blocks))
    return Dispersion(blocks=chosen, lam=0.1, negatives=entries)


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def _give_back(device: torch.device) -> None:
    # Graphs' memory pools are freed with the graphs, which are in reference cycles.
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
