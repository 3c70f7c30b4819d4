"""One cohort's life in a worker process: train to a rung, save, measure, report, go on with the survivors."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import torch

from sweeper.errors import SweeperError
from sweeper.records import Assignment, Facts, LaneReport, Rung
from trainer import checkpoint, machine
from trainer.cohort import Cohort, Measurement
from trainer.data import DataError, Dataset, load
from trainer.evaluate import Evaluator
from trainer.grid import encode_png
from trainer.recipe import DataRecipe, EvalRecipe, Lane

log = logging.getLogger(__name__)

# What says nothing about a trial: full disks, missing files, exhausted memory. The study stops and can be continued.
MACHINE_ERRORS = (OSError, MemoryError, torch.OutOfMemoryError, DataError, SweeperError)
CHUNK = 25  # optimiser steps between looks at the clock
FID_CHECK_SAMPLES = 2000


class DeskClient(Protocol):
    """What a worker knows of the desk. Every call raises StaleAttemptError once a newer attempt has begun."""

    def started(self, cohort: str, attempt: int) -> None:
        """Say that training has begun."""

    def report(
        self, cohort: str, attempt: int, reports: Sequence[LaneReport], facts: Facts, last: bool
    ) -> frozenset[str]:
        """Record a rung of all living lanes and return the keys of those that go on."""


def prepare_process(assignment: Assignment) -> None:
    """Set what a training process needs, and the folder that relative paths start from."""
    machine.prepare(assignment.cpus)
    with contextlib.suppress(OSError):  # on a cluster's node it need not exist
        os.chdir(assignment.base)


def run(desk: DeskClient, assignment: Assignment) -> None:
    """Train, measure and report a cohort until no lane is left."""
    worker = _Worker(assignment)
    desk.started(assignment.cohort, assignment.attempt)
    for step in assignment.rungs:
        if not worker.advance(step):
            continue
        survivors = desk.report(
            assignment.cohort, assignment.attempt, worker.measure(), worker.facts, step == assignment.rungs[-1]
        )
        if not survivors:
            return
        worker.keep(survivors)


class _Worker:
    # A cohort with its clock and its checkpoint.

    def __init__(self, assignment: Assignment) -> None:
        self._assignment = assignment
        self._keys = [trial.key for trial in assignment.trials]
        device = torch.device("cuda" if assignment.gpu else "cpu")
        recipe = assignment.recipe
        data = _dataset(recipe.data)
        self._evaluator = _evaluator(recipe.eval, recipe.data, assignment.cache, device)
        self._data, self._device = data, device
        self._cohort = self._fresh()
        self._train_s, self._eval_s, self._cpu_s = 0.0, 0.0, 0.0
        self._checkpoint = Path(assignment.checkpoint)
        self._restore()

    def _fresh(self) -> Cohort:
        lanes = [Lane(trial.cell.dispersion, trial.seed) for trial in self._assignment.trials]
        return Cohort(self._assignment.recipe, lanes, self._data, self._device, self._evaluator)

    @property
    def facts(self) -> Facts:
        """What was read and where this runs."""
        name = torch.cuda.get_device_name() if self._device.type == "cuda" else "cpu"
        return Facts(
            data_hash=self._data.hash,
            extractor=self._evaluator.extractor_name,
            extractor_sha256=self._evaluator.extractor_sha256,
            device=name,
        )

    def advance(self, step: int) -> bool:
        """Train to `step` and save there; return False if the checkpoint was already past it."""
        if self._cohort.step > step:
            return False
        saved = time.monotonic()
        while self._cohort.step < step:
            wall, cpu = time.perf_counter(), time.process_time()
            self._cohort.advance(min(step, self._cohort.step + CHUNK))
            self._train_s += time.perf_counter() - wall
            self._cpu_s += time.process_time() - cpu
            if time.monotonic() - saved > self._assignment.checkpoint_seconds:
                self._save()
                saved = time.monotonic()
        wall = time.perf_counter()
        self._cohort.wait()  # a GPU may be steps behind, and what it still does is training
        self._train_s += time.perf_counter() - wall
        self._save()
        return True

    def measure(self) -> list[LaneReport]:
        """Measure every living lane; the seconds so far are shared out over lanes."""
        wall, cpu = time.perf_counter(), time.process_time()
        measured = self._cohort.measure(full=self._assignment.full)
        extra = self._fid_check(measured)
        self._eval_s += time.perf_counter() - wall
        self._cpu_s += time.process_time() - cpu
        lanes = max(1, len(self._cohort.living))
        cost = {"train_s": self._train_s / lanes, "eval_s": self._eval_s / lanes, "cpu_s": self._cpu_s / lanes}
        return [self._report(one, cost | extra.get(one.lane, {})) for one in measured]

    def keep(self, survivors: frozenset[str]) -> None:
        """Drop the lanes the desk has stopped."""
        self._cohort.keep([lane for lane in self._cohort.living if self._keys[lane] in survivors])

    def _report(self, one: Measurement, cost: dict[str, float]) -> LaneReport:
        rung = Rung(step=self._cohort.step, metrics=one.metrics | cost)
        columns = self._data.classes if self._data.classes <= 10 else 10
        grid = None if one.grid is None else encode_png(one.grid, columns)
        return LaneReport(key=self._keys[one.lane], diverged=one.diverged, rung=rung, grid_png=grid)

    def _fid_check(self, measured: list[Measurement]) -> dict[int, dict[str, float]]:
        if not self._assignment.check_fid or self._cohort.step < self._assignment.rungs[-1]:
            return {}
        lane = next((one.lane for one in measured if not one.diverged), None)
        if lane is None:
            return {}
        try:
            difference = self._evaluator.check_against_torch_fidelity(self._cohort.draw(lane, FID_CHECK_SAMPLES))
        except Exception:  # a figure less in the guide, which says "not checked"; never a failed trial
            log.exception("FID could not be checked against torch-fidelity")
            return {}
        return {lane: {"torch_fidelity_difference": difference}}

    def _owner(self) -> str:
        return f"{self._assignment.recipe.hash}:{self._data.hash}:{','.join(self._keys)}"

    def _save(self) -> None:
        spent = torch.tensor([self._train_s, self._eval_s, self._cpu_s], dtype=torch.float64)
        checkpoint.save(self._checkpoint, self._cohort.state_dict() | {"spent": spent}, self._owner())

    def _restore(self) -> None:
        if self._checkpoint.exists():
            try:
                state = checkpoint.load(self._checkpoint, self._owner())
                self._train_s, self._eval_s, self._cpu_s = state.pop("spent").tolist()
                self._cohort.load_state_dict(state)
            except (checkpoint.CheckpointError, KeyError, RuntimeError) as error:
                # Damaged, or written by another version. Only time is lost: the run is a pure function of its seed.
                log.warning("%s; training starts again from step 0", error)
                self._cohort = self._fresh()
        self.keep(self._assignment.living)


@lru_cache(maxsize=4)
def _dataset(recipe: DataRecipe) -> Dataset:
    return load(recipe)


@lru_cache(maxsize=4)
def _evaluator(recipe: EvalRecipe, data: DataRecipe, cache: str, device: torch.device) -> Evaluator:
    return Evaluator(recipe, _dataset(data), Path(cache), device)
