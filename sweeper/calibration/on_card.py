"""Estimate a study's cost on cards that are not here: operations divided by a share of the cards' published peak.

Nothing is measured, and no data are needed where the study describes them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import product
from typing import NamedTuple

from sweeper.calibration.cards import Card, Machine
from sweeper.calibration.preflight import fitting_backbone
from sweeper.errors import DataError, StudyError
from sweeper.planning.size import size
from sweeper.planning.trials import curve_evaluations, evaluations, probe_count
from sweeper.records import Stage
from sweeper.study import Study
from sweeper.study.knobs import KNOBS, LAMBDA, TAU, cell_setting, setting_of
from trainer import errors as trainer_errors
from trainer.backbones.flops import pass_flops
from trainer.backbones.sit import SiT
from trainer.data.dataset import load
from trainer.recipe import DataRecipe, Dispersion, Recipe, SiTRecipe
from trainer.recipe.data import ARRAY_FILES
from trainer.recipe.training import Precision
from trainer.training.flops import dispersive_flops, probe_flops, sample_flops, second_view_flops, step_flops
from trainer.training.lane_memory import bank_bytes, lane_memory, parameter_count

SAMPLED_IN: Precision = "fp32"  # whatever a lane trains in
CONTEXT = 1e9  # bytes of a process's CUDA context and libraries


class StageCost(NamedTuple):
    """A stage's trials, at most; seconds of all cards together that they train and sample; and how long it takes."""

    trials: int
    training: float
    sampling: float
    wall: float

    @property
    def seconds(self) -> float:
        """Of all cards together."""
        return self.training + self.sampling


class CardCost(NamedTuple):
    """What a study costs: a step's and a sample's operations, its stages, a lane's bytes and those a cohort has."""

    parameters: int
    step_flops: float
    sample_flops: float
    screen: StageCost
    confirm: StageCost
    finalist_samples: int
    lane_bytes: float
    lanes: int
    room_bytes: float
    largest_depth: int


class _Data(NamedTuple):
    shape: tuple[int, int, int]
    classes: int
    held_bytes: float


class _Arm(NamedTuple):
    # What is trained beside the study's own recipe, or that recipe with the settings that it sweeps.
    recipe: Recipe
    settings: tuple[Dispersion, ...]


class _Trial(NamedTuple):
    training: float
    sampling: float


def cost_on(study: Study, machine: Machine) -> CardCost:
    """Estimate a study on a machine.

    Raises StudyError where no formula counts its model, or a lane is larger than a card; DataError where neither the
    study nor a file says what the data are.
    """
    data, card, recipe = _data(study.recipe.data), machine.card, study.recipe
    taps, share = recipe.model.taps, min(1.0, study.resources.gpus) or 1.0
    own = _Arm(recipe, tuple(_settings(study)))
    arms = [_Arm(recipe.override(arm.set), (arm.dispersion(taps),)) for arm in study.controls]
    for each in (own, *arms):
        _check_memory(each, data, card, share)
    free = share * card.memory - CONTEXT - data.held_bytes
    network = _network(recipe, data)
    lane, bank = lane_memory(recipe, network), _largest_bank(own, network)

    def stage(name: Stage) -> StageCost:
        first, *others = (_trial(study, each, name, data, card) for each in (own, *arms))
        return _stage(study, name, first, others, machine.cards)

    return CardCost(
        parameters=parameter_count(network),
        step_flops=_step(own, network),
        sample_flops=sample_flops(pass_flops(network), recipe.eval),
        screen=stage("screen"),
        confirm=stage("confirm"),
        finalist_samples=recipe.eval.full_count("cuda") or recipe.eval.samples,
        lane_bytes=lane.total + bank,
        lanes=int(free / (lane.total + bank)),
        room_bytes=share * card.memory,
        largest_depth=lane.largest_depth(network.recipe.depth, free - bank),
    )


def _data(recipe: DataRecipe) -> _Data:
    if recipe.shape is None:
        try:
            dataset = load(recipe)
        except trainer_errors.DataError as error:
            described = (
                ", or say what it is: data.shape [N, C, H, W] and data.classes" if recipe.name in ARRAY_FILES else ""
            )
            raise DataError(str(error), f"correct recipe.data in the study{described}") from error
        count, pixels, shape, classes = len(dataset.reference_images), dataset.pixels, dataset.shape, dataset.classes
    else:
        count, *image = recipe.shape
        shape, classes = (image[0], image[1], image[2]), recipe.classes or 1
        pixels = shape[0] in (1, 3)
    return _Data(shape, classes, count * math.prod(shape) * (1 if pixels else 4))


def _network(recipe: Recipe, data: _Data) -> SiT:
    if not isinstance(recipe.model, SiTRecipe):
        raise StudyError(
            f"--on counts the operations of a SiT, and recipe.model is {recipe.model.kind!r}",
            "leave --on out: `sweeper plan` measures any model on the machine it is called on",
        )
    network = fitting_backbone(recipe, data.shape, data.classes)
    assert isinstance(network, SiT)
    return network


def _check_memory(arm: _Arm, data: _Data, card: Card, share: float) -> None:
    recipe, network = arm.recipe, _network(arm.recipe, data)
    lane, bank, room = lane_memory(recipe, network), _largest_bank(arm, network), share * card.memory
    model, free = network.recipe, room - CONTEXT - data.held_bytes
    if lane.total + bank <= free:
        return
    depth = lane.largest_depth(model.depth, free - bank)
    begins = f"that begins at depth {depth + 1} of width {model.width}" if depth else "no depth of this width fits"
    banked = f", {bank / 1e9:.3g} of memory bank" if bank else ""
    raise StudyError(
        f"out of scope: one lane takes about {(lane.total + bank) / 1e9:.3g} GB ({lane.state / 1e9:.3g} of weights and"
        f" their optimiser, {lane.activations / 1e9:.3g} of activations{banked}) beside {data.held_bytes / 1e9:.3g} GB"
        f" of data, and {_share_of(card, share)} has {room / 1e9:.3g} GB; a lane is never split over cards; at batch"
        f" {recipe.train.batch} in {recipe.train.precision} {begins}",
        f"choose a smaller model{', bank' if bank else ''} or batch, train.precision bf16, or a larger card",
    )


def _largest_bank(arm: _Arm, network: SiT) -> int:
    return max(bank_bytes(each, network.tap_shapes) for each in arm.settings)


def _share_of(card: Card, share: float) -> str:
    return f"a card ({card.name})" if share == 1 else f"{share:g} of a card ({card.name})"


def _dispersive_mean(arm: _Arm, network: SiT) -> float:
    """Return what the Dispersive Loss adds to a step, the mean over an arm's settings."""
    counts = [dispersive_flops(each, network.tap_shapes, arm.recipe.train.batch) for each in arm.settings]
    return sum(counts) / len(counts)


def _settings(study: Study) -> Iterator[Dispersion]:
    """Give the settings at one lambda and one tau: no cost depends on them, and of them there may be a million."""
    for cell in study.cells:
        yield cell_setting(cell, study.recipe.model.taps)
    points = (knob.points(study)[:1] if knob in (LAMBDA, TAU) else knob.points(study) for knob in KNOBS)
    for point in product(*points):
        yield setting_of({knob.name: value for knob, value in zip(KNOBS, point, strict=True)})


def _stage(study: Study, stage: Stage, own: _Trial, arms: Sequence[_Trial], cards: int) -> StageCost:
    planned = size(study)
    trials = planned.trials if stage == "screen" else planned.confirm_trials
    seeds = planned.seeds if stage == "screen" else (study.confirm.seed_count if study.confirm else 0)
    settings = trials - seeds * len(arms)
    training = settings * own.training + seeds * sum(arm.training for arm in arms)
    sampling = settings * own.sampling + seeds * sum(arm.sampling for arm in arms)
    # Trials run in rounds, one per card; in the last round some cards may be idle.
    idle = math.ceil(trials / cards) * cards / trials if trials else 1.0
    return StageCost(trials, training, sampling, idle * (training + sampling) / cards)


def _trial(study: Study, arm: _Arm, stage: Stage, data: _Data, card: Card) -> _Trial:
    recipe, network = arm.recipe, _network(arm.recipe, data)
    flops, evaluation = pass_flops(network), recipe.eval
    count = evaluations(study, recipe, stage) * evaluation.samples
    if stage == "confirm":
        count = max(count, evaluation.full_count("cuda") or 0)
    drawn = count * sample_flops(flops, evaluation)
    drawn += probe_count(study, recipe, stage) * probe_flops(flops, evaluation)
    if stage == "confirm":
        drawn += curve_evaluations(recipe) * evaluation.samples * sample_flops(flops, evaluation)
    training = recipe.train.steps * _step(arm, network)
    return _Trial(training / card.rate(recipe.train.precision), drawn / card.rate(SAMPLED_IN))


def _step(arm: _Arm, network: SiT) -> float:
    flops, recipe = pass_flops(network), arm.recipe
    beside = second_view_flops(flops, recipe) + _dispersive_mean(arm, network)
    return step_flops(flops, recipe.objective, recipe.train.batch) + beside
