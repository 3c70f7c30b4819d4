"""Every study in the folder is planned, and each kind of lane it has trains a few steps and draws a few samples.

A kind is a setting's form (variant, one block or several, local batch, ...; lambda and tau are numbers of one form),
the baseline, or a control arm's recipe. Steps and NFE are cut; of a model wider than 192 the width as well, and its
batch and local batches, to an eighth of those at ImageNet's size. Depth, blocks, objective, solver, precision and image
are the study's own. Data that are files are made: a few images of the shape the study describes.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from sweeper.calibration.cards import machine
from sweeper.calibration.on_card import cost_on
from sweeper.commands.report import read_record
from sweeper.planning.cells import cells
from sweeper.planning.size import announce, size
from sweeper.planning.trials import screen_trials
from sweeper.records import FINAL_STATES
from sweeper.study import Study
from sweeper.study.fingerprint import changed_fields
from sweeper.study.knobs import BLOCK, KNOBS, LAMBDA, TAU
from sweeper.study.yaml_files import read_study
from tests.places import ROOT, STUDIES
from trainer.data.dataset import Dataset, load
from trainer.evaluation.evaluator import Evaluator
from trainer.recipe import DataRecipe, Dispersion, Lane, Recipe, SiTRecipe
from trainer.training.alignment_targets import untrained_encoder
from trainer.training.cohort import Cohort

SHIPPED = sorted(STUDIES.rglob("*.yaml"))
IMAGENET = [path for path in SHIPPED if path.stem.startswith("imagenet")]
CPU = torch.device("cpu")
STEPS, SAMPLES, NFE, WIDEST = 2, 3, 4, 192

GUIDES = sorted(path.parent for path in (ROOT / "reports").glob("*/guide.json"))

shipped = pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)


@shipped
def test_a_shipped_study_is_planned(path: Path) -> None:
    study = read_study(path)
    planned = size(study)
    assert f"{study.name}: {planned.cells} cells" in announce(study)
    if study.screen.sampler == "grid":
        assert len(screen_trials(study)) == planned.trials


@pytest.mark.parametrize("path", IMAGENET, ids=lambda path: path.stem)
def test_a_study_at_imagenets_size_is_estimated_without_cards_or_data(path: Path) -> None:
    cost = cost_on(read_study(path), machine("8xH100"))
    assert 130e6 < cost.parameters < 132e6
    assert cost.finalist_samples == 50_000
    assert 10 < cost.screen.seconds / 3600 < 1000


@shipped
def test_every_kind_of_lane_of_a_shipped_study_trains_and_draws(path: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    study = read_study(path)
    for recipe, settings in kinds(study):
        data = made(recipe.data, tmp_path)
        check(*small(recipe.model_copy(update={"data": data}), settings), load(data), tmp_path)


@pytest.mark.parametrize("folder", GUIDES, ids=lambda folder: folder.name)
def test_the_record_of_a_shipped_guide_lies_beside_it_and_is_of_the_study_in_its_file(folder: Path) -> None:
    record = read_record(folder / "record.json")
    atlas = folder.name.removeprefix("atlas_")
    file = read_study(STUDIES / f"{folder.name}.yaml" if atlas == folder.name else STUDIES / "atlas" / f"{atlas}.yaml")
    assert record.study.name == file.name == folder.name
    assert changed_fields(record.study, file) == []
    assert {trial.state for trial in record.trials} <= FINAL_STATES


def test_the_ablations_at_imagenets_size_are_the_papers() -> None:
    assert [path.stem for path in IMAGENET] == [f"imagenet256_{name}" for name in ("dit_b2", "meanflow_b4", "sit_b2")]
    for study in map(read_study, IMAGENET):
        settings = [trial.cell.dispersion for trial in screen_trials(study)]
        assert {each.blocks for each in settings} >= {(0,), (3,), (6,), (11,), tuple(range(12))}
        grid = {(each.lam, each.tau) for each in settings if each.blocks == (3,) and each.local_batch == 16}
        assert grid == set(itertools.product((0.25, 0.5, 1.0), (0.25, 0.5, 1.0, 2.0)))
        assert {each.local_batch for each in settings if each.lam > 0} == {16, 32}
        train, evaluation = study.recipe.train, study.recipe.eval
        assert (train.steps * train.batch, train.schedule, train.warmup, train.lr) == (102_400_000, "constant", 0, 1e-4)
        assert (train.ema, study.recipe.data.flip, evaluation.cfg) == (0.9999, True, 1)
        assert isinstance(study.recipe.model, SiTRecipe)
        assert study.recipe.model.gelu == "tanh"


def kinds(study: Study) -> Iterator[tuple[Recipe, list[Dispersion]]]:
    """Give each recipe of a study and one setting of every form that trains by it; of a search, those of its grid."""
    whole = study.screen.model_copy(update={"sampler": "grid", "trials": None})
    planned = cells(study.model_copy(update={"screen": whole}))
    settings = [cell.dispersion for cell in planned if cell.role != "control"]
    forms = {form(setting): setting for setting in settings}.values()
    for bank in {setting.bank for setting in forms}:  # lanes of one cohort have the same
        yield study.recipe, [setting for setting in forms if setting.bank == bank]
    for cell in planned:
        if cell.role == "control":
            yield cell.recipe(study.recipe), [cell.dispersion]


def form(setting: Dispersion) -> tuple[object, ...]:
    values = {knob: knob.of(setting) for knob in KNOBS if knob not in (LAMBDA, TAU)}
    of_blocks = 0 if setting.lam == 0 else min(len(setting.blocks), 2)
    return setting.tau_units, of_blocks, *(value for knob, value in values.items() if knob is not BLOCK)


def made(recipe: DataRecipe, folder: Path) -> DataRecipe:
    """Return the recipe of data that are here: a study's own, or a few images in place of a file's."""
    if recipe.path is None:
        return recipe
    assert recipe.name == "npy"
    assert recipe.shape, "a shipped study says what its file holds"
    random, labels = np.random.default_rng(0), np.repeat(np.arange(3), 6)
    images = random.normal(size=(len(labels), *recipe.shape[1:])).astype(np.float32)
    files = {"path": folder / "made.npy", "labels": folder / "made.labels.npy"}
    np.save(files["path"], images)
    np.save(files["labels"], labels)
    changes = {**{name: str(file) for name, file in files.items()}, "shape": images.shape, "classes": 3}
    return DataRecipe.model_validate(recipe.model_dump() | changes)


def small(recipe: Recipe, settings: list[Dispersion]) -> tuple[Recipe, list[Dispersion]]:
    """Cut what takes long, and nothing that makes a lane another kind."""
    model, cut = recipe.model, {"eval.nfe": min(recipe.eval.nfe, NFE), "eval.batch": SAMPLES}
    if not isinstance(model, SiTRecipe) or model.width <= WIDEST:
        return recipe.override(cut), settings
    compared = {setting.local_batch for setting in settings if setting.local_batch != "all"} or {16}
    divisor = min(compared) // 2
    cut |= {"model.width": 4 * model.heads, "train.batch": max(compared) // divisor}
    return recipe.override(cut), [
        setting
        if setting.local_batch == "all"
        else setting.model_copy(update={"local_batch": setting.local_batch // divisor})
        for setting in settings
    ]


def check(recipe: Recipe, settings: list[Dispersion], data: Dataset, folder: Path) -> None:
    lanes = [Lane(setting, seed=0) for setting in settings]
    evaluator, encoder = Evaluator(recipe.eval, data, folder, CPU), untrained_encoder(recipe, data, CPU)
    cohort = Cohort(recipe, lanes, data, CPU, evaluator, encoder)
    begun = weights(cohort)
    cohort.advance(STEPS)
    learnt = weights(cohort)
    assert learnt.isfinite().all()
    assert (learnt != begun).any(1).all()
    for lane in range(len(lanes)):
        drawn = cohort.draw(lane, SAMPLES)
        assert drawn.shape == (SAMPLES, *data.shape)
        assert drawn.isfinite().all()


def weights(cohort: Cohort) -> Tensor:
    return cohort.state_dict()["weights"].clone()


def test_variants_has_every_form_of_the_loss_and_why_every_arm_that_slows_later_blocks() -> None:
    settings = {trial.cell.dispersion for trial in screen_trials(read_study(STUDIES / "variants.yaml"))}
    for knob in KNOBS:
        if knob.every:
            assert {getattr(setting, knob.field) for setting in settings} >= {*knob.every}
    assert any(setting.lam_warmup > 0 for setting in settings)
    assert any(setting.lam_end < 1 for setting in settings)
    rates = [arm.set.get("train.later_blocks.rate") for arm in read_study(STUDIES / "why.yaml").controls]
    assert [rate for rate in rates if rate is not None] == [0.5, 0.25]


def test_repa_compares_five_arms_at_equal_steps_and_two_of_them_at_equal_time() -> None:
    study = read_study(STUDIES / "repa.yaml")
    arms = {}
    for trial in screen_trials(study):
        cell, train = trial.cell, trial.cell.recipe(study.recipe).train
        arms[train.repa is not None, train.contrastive is not None, cell.dispersion.lam > 0, train.steps] = cell.label
    none, repa, contrastive = (False, False), (True, False), (False, True)
    assert {(*none, False, 800), (*none, True, 800), (*repa, False, 800), (*contrastive, False, 800)} <= arms.keys()
    assert (*repa, True, 800) in arms
    assert {(*repa, False, 520), (*contrastive, False, 420)} <= arms.keys()
    assert len(arms) == 7
