"""What a trial costs on this machine, from a few steps and a batch of samples of the study's own recipe.

On a CPU a trial trains alone. On a GPU several train as one program, as many as measuring finds best.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
from pathlib import Path
from typing import NamedTuple

import torch

from sweeper.calibration.timing import extrapolated, probe_seconds, probed, timed
from sweeper.planning.trials import evaluations
from sweeper.study import Resources, Study
from sweeper.study.knobs import BLOCK, KNOBS, NEGATIVES, cell_setting, setting_of
from trainer.data.dataset import Dataset, load
from trainer.recipe import Dispersion, Recipe
from trainer.recipe.regulariser import Bank
from trainer.runtime.cached_file import made_once
from trainer.runtime.process import prepare
from trainer.training.batches import TrainingSplit
from trainer.training.lane_search import lane_cost, measured_lanes

WARM_UP, STEPS = 3, 12
TWICE = 2.0  # a contrastive loss takes 1.9 times the step of a compact model, REPA 1.5 times; larger models less
LIMIT_S = 12.0  # of measuring; with imports and data `plan` answers within 20 s
# Raise it with every change to how lanes are trained or measured: it names the cached file.
VERSION = 1


class Cost(NamedTuple):
    """Seconds of one trial on one slot, which it shares with so many others less one; of one linear probe, if any.

    `extrapolated`: from models of one and two blocks, since the study's own is too large to be timed.
    """

    per_step: float
    per_evaluation: float
    lanes: int
    extrapolated: bool = False
    per_probe: float = 0.0


def calibrate(study: Study, limit_s: float = LIMIT_S) -> Cost:
    """Time steps and sampling on this machine, on its GPU if the study uses one; takes seconds, on a GPU a minute.

    On a CPU a model that would take longer than `limit_s` to time is extrapolated from small pieces of it. Feature
    extraction and FID are not timed.
    """
    prepare(study.resources.cpus, study.resources.gpus)
    recipe, data = study.recipe, load(study.recipe.data)
    if study.resources.gpus:
        cost = _on_device(study, data, torch.device("cuda"))
        return cost._replace(per_probe=_probe(recipe, data, torch.device("cuda"), 0.0, limit_s))
    lanes, foreseen = 1 if study.resources.cohort == "auto" else study.resources.cohort, extrapolated(recipe)
    if is_large := (WARM_UP + STEPS) * foreseen.step_s + foreseen.sample_s * recipe.eval.batch > limit_s:
        found = foreseen
    else:
        found = timed(recipe, data, WARM_UP, STEPS, recipe.eval.batch, _costliest(study))
    probe = _probe(recipe, data, torch.device("cpu"), found.sample_s, limit_s)
    return Cost(found.step_s, found.sample_s * recipe.eval.samples, lanes, is_large, probe)


def _probe(recipe: Recipe, data: Dataset, device: torch.device, sample_s: float, limit_s: float) -> float:
    if recipe.eval.linear_probe == "none":
        return 0.0
    foreseen = probe_seconds(recipe, data, sample_s)
    return foreseen if foreseen > limit_s / 2 else probed(recipe, data, device)


def _costliest(study: Study) -> Dispersion:
    """Return the setting of the space with the slowest step: the most blocks, and the most samples to compare with."""
    first = {knob.name: knob.points(study)[0] for knob in KNOBS}
    most = {BLOCK.name: max(BLOCK.points(study), key=len), NEGATIVES.name: NEGATIVES.points(study)[-1]}
    return setting_of(first | most)


def slower_arms(study: Study, cost: Cost) -> dict[str, float]:
    """Return, by name, each control arm that adds a loss with its step time as a multiple of the study's own.

    A memory bank that the space lacks counts as such a loss. Each arm is timed with its own setting of the Dispersive
    Loss on a CPU that can time the study itself; elsewhere we assume TWICE, more than any of the losses costs.
    """
    own, times = study.recipe.train.auxiliary_losses, dict[tuple[object, ...], float]()
    banks = {NEGATIVES.usual, *study.space.negatives}
    arms = [
        (arm.name, study.recipe.override(arm.set), arm.dispersion(study.recipe.model.taps)) for arm in study.controls
    ]
    adding = [
        (name, recipe, setting)
        for name, recipe, setting in arms
        if recipe.train.auxiliary_losses != own or setting.negatives not in banks
    ]
    if cost.extrapolated or study.resources.gpus:
        return dict.fromkeys((name for name, _, _ in adding), TWICE)
    for _, recipe, setting in adding:
        if (added := _added(recipe, setting)) not in times:
            step_s = timed(recipe, load(recipe.data), WARM_UP, STEPS, 1, setting).step_s
            times[added] = step_s / cost.per_step
    return {name: times[_added(recipe, setting)] for name, recipe, setting in adding}


def _added(recipe: Recipe, setting: Dispersion) -> tuple[object, ...]:
    """Name a trial's additions to the loss: auxiliary losses, and any form of the setting that costs time."""
    form = (len(setting.blocks), setting.variant, setting.local_batch, setting.negatives) if setting.lam else None
    return (*recipe.train.auxiliary_losses.items(), form)


def _on_device(study: Study, data: Dataset, device: torch.device) -> Cost:
    recipe, lanes = study.recipe, study.resources.cohort
    if lanes == "auto":
        wanted = evaluations(study, recipe)
        cost = measured_lanes(recipe, data, device, _share(study.resources), wanted, largest_bank(study))
    else:
        split = TrainingSplit.of(data, device, recipe.data.flip)
        cost = lane_cost(recipe, data, split, lanes, largest_bank(study))
    batches = recipe.eval.samples / recipe.eval.batch
    return Cost(cost.step_s / cost.lanes, cost.samples_s * batches / cost.lanes, cost.lanes)


def lanes_here(study: Study, base: Path, cache: Path) -> int:
    """Return how many trials should train as one program on this process's device: its GPU if the study uses one.

    Measured once for a recipe and a kind of device and kept in `cache`; `base` is where relative paths start.
    """
    resources, recipe = study.resources, study.recipe
    device = torch.device("cuda" if resources.gpus else "cpu")
    name = torch.cuda.get_device_name(device) if resources.gpus else "cpu"
    share, wanted, bank = _share(resources), evaluations(study, recipe), largest_bank(study)
    prepare(resources.cpus, resources.gpus)
    with contextlib.suppress(OSError):  # on a cluster's node it need not exist
        os.chdir(base)

    def measure() -> dict[str, torch.Tensor]:
        found = measured_lanes(recipe, load(recipe.data), device, share, wanted, bank)
        return {"lanes": torch.tensor(found.lanes)}

    owner = f"lanes {VERSION} of {recipe.hash}, {wanted:g} evaluations, on {share:g} of {name}"
    owner += f", each with a memory bank of {bank[0]} for {bank[1]} blocks" if bank else ""
    path = cache / f"lanes-{hashlib.sha256(owner.encode()).hexdigest()[:16]}.safetensors"
    return int(made_once(path, owner, measure)["lanes"])


def largest_bank(study: Study) -> Bank | None:
    """Return the memory bank of a lane of the study that takes the most memory, None without one."""
    single = *study.cells, *(arm.setting for arm in study.controls if arm.setting)
    banks = [cell_setting(cell, study.recipe.model.taps).bank for cell in single]
    blocks = max(len(chosen) for chosen in BLOCK.points(study))
    banks += [(entries, blocks) for entries in study.space.negatives if entries != "batch"]
    return max((bank for bank in banks if bank), key=math.prod, default=None)


def _share(resources: Resources) -> float:
    return min(1.0, resources.gpus) or 1.0
