"""Whether a study's recipes and its data go together, found out before anything is started."""

from __future__ import annotations

import torch

from sweeper.errors import DataError, StudyError
from sweeper.plan import cells
from sweeper.study import Study
from trainer import data as trainer_data
from trainer.model import SiT
from trainer.recipe import Recipe


def check_fit(study: Study) -> None:
    """Load the data of every recipe and lay out its model.

    Raises DataError for data that cannot be read, StudyError for a model that does not fit it.
    """
    for recipe in {cell.overrides: cell.recipe(study.recipe) for cell in cells(study)}.values():
        _check(recipe)


def _check(recipe: Recipe) -> None:
    try:
        data = trainer_data.load(recipe.data)
    except trainer_data.DataError as error:
        raise DataError(str(error), "correct recipe.data in the study") from error
    try:
        SiT(recipe.model, data.shape, data.classes, recipe.train.time_scale, torch.device("cpu"))
    except ValueError as error:
        raise StudyError(f"recipe.model does not fit the data: {error}", "change recipe.model.patch") from error
