"""Check that a study's recipes fit its data, before anything is started."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch

from sweeper.errors import DataError, SetupError, StudyError
from sweeper.provenance import usable_cores
from sweeper.study import Study
from trainer import errors as trainer_errors
from trainer.backbones.build import backbone_of
from trainer.backbones.protocol import Backbone
from trainer.data.dataset import Dataset, load
from trainer.evaluation.autoencoder import CONFIG, WEIGHTS, check_autoencoder
from trainer.evaluation.reference_file import FEATURES, ReferenceFile
from trainer.recipe import EvalRecipe, ModuleRecipe, Recipe, SiTRecipe
from trainer.recipe.blocks import block_index
from trainer.recipe.evaluation import GUIDED_BY_PUBLIC_CODE
from trainer.runtime.compiler import has_compiler
from trainer.runtime.paths import located
from trainer.runtime.weight_files import check_weights
from trainer.training.block_rates import rate_factors
from trainer.training.initial_weights import read_initial


class Fitting(NamedTuple):
    """A study's network, and the data that it fits."""

    model: Backbone
    data: Dataset


def check_fit(study: Study, elsewhere: bool = False) -> Fitting:
    """Load the data of every recipe, lay out its model, look for weights and the GPU; return the study's own two.

    `elsewhere`: training is on other machines, whose cores and GPUs cannot be seen from here.

    Raises DataError for data that cannot be read, StudyError for a model that does not fit, SetupError without the
    cores or the GPU.
    """
    if study.resources.gpus and not elsewhere and not torch.cuda.is_available():
        raise SetupError(
            "resources.gpus asks for a GPU and PyTorch sees none",
            "set resources.gpus to 0, install PyTorch's CUDA build, or give --address of a cluster; "
            "`sweeper plan --on 8xH100` estimates without a GPU",
        )
    if study.resources.cpus > usable_cores() and not elsewhere:
        raise SetupError(
            f"resources.cpus asks for {study.resources.cpus} cores and this machine has {usable_cores()}",
            "lower resources.cpus, or give --address of a larger cluster",
        )
    if study.recipe.eval.compile == "on" and not elsewhere and not has_compiler():
        raise SetupError(
            "recipe.eval.compile is 'on' and there is no C++ compiler",
            "install g++, name a compiler in CXX, or set recipe.eval.compile to 'auto'",
        )
    for arm in study.controls:
        _check(study.recipe.override(arm.set))
    return _check(study.recipe)


def _check(recipe: Recipe) -> Fitting:
    try:
        data = load(recipe.data)
    except trainer_errors.DataError as error:
        described = "; `sweeper plan --on 8xH100` needs no data" if recipe.data.shape else ""
        raise DataError(str(error), f"correct the data, or recipe.data in the study{described}") from error
    _check_extractor(recipe.eval, data)
    _check_idle(recipe.eval, data)
    if recipe.train.repa and recipe.train.repa.weights is not None:
        _check_file(recipe.train.repa.weights, "weight file", "train.repa.weights", check_weights)
        if not data.pixels:
            raise DataError(
                f"train.repa.encoder 'dinov2' looks at pixels, and {recipe.data.path} holds latents",
                "set train.repa.encoder to 'local', or leave train.repa out",
            )
    model = fitting_backbone(recipe, data.shape, data.classes)
    later = recipe.train.later_blocks
    if later and not (rate_factors(model.layout, block_index(later.block, model.taps), 0.0) == 0).any():
        raise StudyError(
            f"train.later_blocks.block {later.block} and the taps after it have no weights of their own",
            "name a tap that is a sub-module with weights, or leave train.later_blocks out",
        )
    try:
        read_initial(recipe, model)
    except trainer_errors.DataError as error:
        raise DataError(str(error), "correct recipe.model.init, or the recipe, in the study") from error
    return Fitting(model, data)


def fitting_backbone(recipe: Recipe, shape: tuple[int, int, int], classes: int) -> Backbone:
    """Return the network of a recipe for images of `shape` (C, H, W); raise StudyError where it does not fit them."""
    try:
        return backbone_of(recipe, shape, classes, torch.device("cpu"))
    except ValueError as error:
        remedy = "change recipe.model"
        if isinstance(recipe.model, SiTRecipe):
            remedy = "change recipe.model.patch"
        elif isinstance(recipe.model, ModuleRecipe):
            remedy = (
                "correct the module, or recipe.model in the study; docs/extending/own_model.md says what it is given"
            )
        raise StudyError(f"recipe.model does not fit the data: {error}", remedy) from error


def _check_idle(evaluation: EvalRecipe, data: Dataset) -> None:
    """Refuse fields that have no effect on these data, as idle fields are refused in any study."""
    if evaluation.cfg_channels == "public" and data.shape[0] <= GUIDED_BY_PUBLIC_CODE:
        raise StudyError(
            f"eval.cfg_channels 'public' guides the first {GUIDED_BY_PUBLIC_CODE} channels, and the data have "
            f"{data.shape[0]}: all are guided",
            "leave recipe.eval.cfg_channels out",
        )
    if evaluation.linear_probe != "none" and data.classes < 2:
        raise StudyError(
            "eval.linear_probe tells classes apart, and the data have one",
            "leave recipe.eval.linear_probe out, or give the data their labels",
        )


def _check_extractor(evaluation: EvalRecipe, data: Dataset) -> None:
    if evaluation.weights is not None:
        _check_file(evaluation.weights, "weight file", "recipe.eval.weights", check_weights)
    if evaluation.reference is not None:
        what, field = "file of reference statistics", "recipe.eval.reference"
        _check_file(evaluation.reference, what, field, lambda path: ReferenceFile(path).check(FEATURES))
    if evaluation.decoder is None and not data.pixels and evaluation.extractor != "domain":
        raise DataError(
            f"eval.extractor {evaluation.extractor!r} looks at pixels, and the data are latents",
            "give eval.decoder the folder of the latents' autoencoder, or set eval.extractor to 'domain'",
        )
    if evaluation.decoder is not None:
        if data.pixels:
            raise DataError("eval.decoder decodes latents, and the data are pixels", "leave eval.decoder out")
        for name in (CONFIG, WEIGHTS):
            _check_file(f"{evaluation.decoder}/{name}", "file of an autoencoder", "recipe.eval.decoder")
        _check_content(evaluation.decoder, "recipe.eval.decoder", check_autoencoder)


def _check_file(path: str, what: str, field: str, check: Callable[[Path], None] | None = None) -> None:
    """Raise DataError for a file that is not there or that `check` refuses."""
    try:
        is_there = located(path).is_file()
    except trainer_errors.DataError as error:
        raise DataError(str(error), f"correct {field} in the study") from error
    if not is_there:
        raise DataError(f"{path}: no such {what}", f"correct {field} in the study")
    if check:
        _check_content(path, field, check)


def _check_content(path: str, field: str, check: Callable[[Path], None]) -> None:
    try:
        check(located(path))
    except trainer_errors.DataError as error:
        raise DataError(str(error), f"correct {field} in the study") from error
