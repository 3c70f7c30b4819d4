"""One cohort's life in a worker process: train to a rung, save, measure, report, go on with the survivors."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from sweeper.records import Facts, Rung
from sweeper.text.numbers import counted
from sweeper.worker.failure_kinds import blames_machine
from sweeper.worker.heart import Heart
from sweeper.worker.kept_weights import keep
from sweeper.worker.lane_seconds import LaneSeconds
from sweeper.worker.messages import Assignment, CoordinatorClient, LaneReport
from trainer.data.dataset import Dataset, load
from trainer.evaluation.evaluator import Evaluator
from trainer.recipe import DataRecipe, EvalRecipe, Lane
from trainer.runtime import checkpoint, compiler, process
from trainer.sampling.image_grid import encode_png
from trainer.sampling.kept_model import Origin
from trainer.training.cohort import Cohort, Measurement
from trainer.training.merge_lanes import gathered

log = logging.getLogger(__name__)

CHUNK = 25  # optimiser steps between looks at the clock
FID_CHECK_SAMPLES = 2000
# Errors of reading a checkpoint that is damaged, missing, or of another version.
UNUSABLE = (ValueError, KeyError, RuntimeError)


def prepare_process(assignment: Assignment) -> None:
    """Set what a training process needs, and the folder that relative paths start from."""
    process.prepare(assignment.cpus, assignment.gpus)
    compiler.use_cache(Path(assignment.cache))
    with contextlib.suppress(OSError):  # on a cluster's node it need not exist
        os.chdir(assignment.base)


def run(coordinator: CoordinatorClient, assignment: Assignment) -> None:
    """Train, measure and report a cohort until no lane is left."""
    cohort = CohortRun(assignment)
    heart = Heart(coordinator.beat, assignment, card=lambda: process.card_memory(assignment.gpus))
    log.info("%s", cohort.begins)
    coordinator.started(assignment.cohort, assignment.attempt, cohort.facts)
    for step in assignment.rungs:
        if not cohort.advance(step, heart):
            continue
        heart.measures(step)
        last = step == assignment.rungs[-1]
        survivors = coordinator.report(assignment.cohort, assignment.attempt, cohort.measure(), cohort.facts, last)
        if not survivors:
            return
        cohort.keep(survivors)
        if not last and coordinator.parts(assignment.cohort, assignment.attempt, step):
            cohort.save(assignment.parked)
            coordinator.park(assignment.cohort, assignment.attempt, step)
            return


class CohortRun:
    """A cohort with its clocks and its checkpoint."""

    def __init__(self, assignment: Assignment) -> None:
        self._assignment = assignment
        self._keys = [trial.key for trial in assignment.trials]
        device = torch.device("cuda" if assignment.gpus else "cpu")
        recipe = assignment.recipe
        data = _dataset(recipe.data)
        self._evaluator = _evaluator(recipe.eval, recipe.data, assignment.cache, device)
        self._data, self._device = data, device
        self._begin()
        self._restore()

    def _begin(self) -> None:
        lanes = [Lane(trial.cell.dispersion, trial.seed) for trial in self._assignment.trials]
        self._cohort = Cohort(self._assignment.recipe, lanes, self._data, self._device, self._evaluator)
        self._seconds = LaneSeconds(len(lanes))

    @property
    def begins(self) -> str:
        """Which trials it trains, at which attempt, and from which step."""
        labels = (f"{trial.cell.label}, seed {trial.seed}" for trial in self._assignment.trials)
        first, count, attempt = next(labels), len(self._cohort.living), self._assignment.attempt
        more = f" and {counted(count - 1, 'more trial')}" if count > 1 else ""
        return f"{self._assignment.cohort}: {first}{more}, attempt {attempt}, from step {self._cohort.step:,}"

    @property
    def facts(self) -> Facts:
        """The data that was read, and the device this runs on."""
        name = torch.cuda.get_device_name() if self._device.type == "cuda" else "cpu"
        channels, height, width = self._data.shape
        return Facts(
            data_hash=self._data.hash,
            extractor=self._evaluator.extractor_name,
            extractor_sha256=self._evaluator.extractor_sha256,
            reference_sha256=self._evaluator.reference_sha256,
            device=name,
            init_sha256=self._cohort.init_sha256,
            source_sha256=self._cohort.source_sha256,
            encoder_sha256=self._cohort.encoder_sha256,
            compiled=self._assignment.recipe.eval.compile == "on",
            sampled_in="bf16" if self._assignment.recipe.eval.precision == "bf16" else "fp32",
            images=len(self._data.reference_labels) + len(self._data.held_labels),
            image_kind="images" if self._data.pixels else "latents",
            image_channels=channels,
            image_height=height,
            image_width=width,
        )

    def advance(self, step: int, heart: Heart) -> bool:
        """Train to `step` and save there; return False if the checkpoint was already past it."""
        if self._cohort.step > step:
            return False
        saved = time.monotonic()
        while self._cohort.step < step:
            with self._seconds.counting("train_s", self._cohort.living):
                self._cohort.advance(min(step, self._cohort.step + CHUNK))
                heart.trains(self._cohort.step, step, self._losses)  # which may wait for a device to train
            if time.monotonic() - saved > self._assignment.checkpoint_seconds:
                self.save(self._assignment.checkpoint)
                saved = time.monotonic()
        with self._seconds.counting("train_s", self._cohort.living):
            self._cohort.wait()  # a GPU may be steps behind, and what it still does is training
        self.save(self._assignment.checkpoint)
        return True

    def measure(self) -> list[LaneReport]:
        """Measure every living lane."""
        with self._seconds.counting("eval_s", self._cohort.living):
            measured = self._cohort.measure(self._assignment.full, self._assignment.objective)
            extra = self._fid_check(measured)
        return [
            self._report(measurement, self._seconds.of(measurement.lane) | extra.get(measurement.lane, {}))
            for measurement in measured
        ]

    def save(self, path: str) -> None:
        """Write a checkpoint of the living lanes."""
        seconds = {"seconds": self._seconds.rows(self._cohort.living)}
        checkpoint.save(Path(path), self._cohort.state_dict() | seconds, self._owner(self._keys))

    def keep(self, survivors: frozenset[str]) -> None:
        """Drop the lanes the coordinator has stopped."""
        self._cohort.keep([lane for lane in self._cohort.living if self._keys[lane] in survivors])

    def _losses(self) -> dict[str, float]:
        return {self._keys[lane]: loss for lane, loss in self._cohort.train_losses().items()}

    def _report(self, measurement: Measurement, cost: dict[str, float]) -> LaneReport:
        rung = Rung(step=self._cohort.step, metrics=measurement.metrics | cost | self._operations(measurement.lane))
        columns = self._data.classes if self._data.classes <= 10 else 10
        grid = None if measurement.grid is None else encode_png(measurement.grid, columns)
        weights, lost = (None, "") if measurement.diverged else self._keep_weights(measurement.lane)
        key = self._keys[measurement.lane]
        return LaneReport(key=key, diverged=measurement.diverged, rung=rung, grid_png=grid, weights=weights, lost=lost)

    def _operations(self, lane: int) -> dict[str, float]:
        """Return what training a finished lane took, where that is counted."""
        taken = self._cohort.train_flops(lane) if self._cohort.step == self._assignment.rungs[-1] else None
        return {} if taken is None else {"train_flops": taken}

    def _keep_weights(self, lane: int) -> tuple[str | None, str]:
        """Write a finished lane's weights; return the file, or why they are lost."""
        assigned, trial = self._assignment, self._assignment.trials[lane]
        if assigned.weights is None or self._cohort.step < assigned.rungs[-1]:
            return None, ""
        origin = Origin(
            trial=trial.key,
            recipe=assigned.recipe,
            recipe_hash=assigned.recipe.hash,
            dispersion=trial.cell.dispersion,
            seed=trial.seed,
            step=self._cohort.step,
            data_hash=self._data.hash,
            device=self._device.type,
            shape=self._data.shape,
            classes=self._data.classes,
            pixels=self._data.pixels,
        )
        path = Path(assigned.weights, f"{trial.key}.safetensors")
        lost = keep(path, origin, self._cohort.published(lane), spare=Path(assigned.checkpoint).stat().st_size)
        return None if lost else str(path), lost

    def _fid_check(self, measured: list[Measurement]) -> dict[int, dict[str, float]]:
        if not self._assignment.check_fid or self._cohort.step < self._assignment.rungs[-1]:
            return {}
        lane = next((measurement.lane for measurement in measured if not measurement.diverged), None)
        if lane is None:
            return {}
        try:
            difference = self._evaluator.check_against_torch_fidelity(self._cohort.draw(lane, FID_CHECK_SAMPLES))
        except Exception as error:  # a figure less in the guide, which says "not checked"; never a failed trial
            if process.has_lost_device(error):
                raise
            log.exception("FID could not be checked against torch-fidelity")
            return {}
        return {lane: {"torch_fidelity_difference": difference}}

    def _owner(self, keys: Sequence[str]) -> str:
        return f"{self._assignment.recipe.hash}:{self._data.hash}:{','.join(keys)}"

    def _restore(self) -> None:
        # An unreadable checkpoint costs only time: the run is a pure function of its seed.
        trouble = []
        for read in self._saved():
            try:
                self._load(read())
                break
            except UNUSABLE as error:
                if blames_machine(error) or process.has_lost_device(error):
                    raise
                trouble.append(str(error))
                self._begin()
        if trouble:
            log.warning("%s; training starts again from step %d", "; ".join(trouble), self._cohort.step)
        self.keep(self._assignment.living)

    def _saved(self) -> Iterator[Callable[[], dict[str, Tensor]]]:
        own = Path(self._assignment.checkpoint)
        if own.exists():
            yield lambda: checkpoint.load(own, self._owner(self._keys))
        if self._assignment.sources:
            yield lambda: gathered(self._parts())

    def _parts(self) -> Iterator[tuple[dict[str, Tensor], list[int]]]:
        for source in self._assignment.sources:
            state = checkpoint.load(Path(source.checkpoint), self._owner(source.keys))
            yield state, [source.keys.index(key) for key in source.taken]

    def _load(self, state: Mapping[str, Tensor]) -> None:
        living = state["living"].tolist()
        missing = self._assignment.living - {self._keys[lane] for lane in living}
        if missing:
            raise ValueError(f"{self._assignment.cohort}: nothing is saved of {', '.join(sorted(missing))}")
        self._seconds.load(living, state["seconds"])
        self._cohort.load_state_dict(state)


@lru_cache(maxsize=4)
def _dataset(recipe: DataRecipe) -> Dataset:
    return load(recipe)


@lru_cache(maxsize=4)
def _evaluator(recipe: EvalRecipe, data: DataRecipe, cache: str, device: torch.device) -> Evaluator:
    return Evaluator(recipe, _dataset(data), Path(cache), device)
