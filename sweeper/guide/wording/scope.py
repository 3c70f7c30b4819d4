"""The scope of a study's results: its data, its model and its training."""

from __future__ import annotations

from collections.abc import Iterable

from sweeper.records import Facts, StudyRecord
from sweeper.text.numbers import counted
from trainer.recipe import DataRecipe


def scope(record: StudyRecord) -> str:
    """Describe the scope of a study's results."""
    recipe = record.study.recipe
    return (
        f"{data(recipe.data, (trial.facts for trial in record.trials))}, {recipe.model.title}, "
        f"{counted(recipe.train.steps, 'step')}, batch {recipe.train.batch}"
    )


def data(recipe: DataRecipe, facts: Iterable[Facts | None]) -> str:
    """Name the data by what it is, how much was read and from where; older records have no count."""
    read = next((one for one in facts if one and one.images), None)
    limit = f" ({counted(recipe.limit, 'training image')})" if recipe.limit else ""
    known = f"{read.images:,} {_kind(read)}" if read else ""
    if not recipe.path:
        return f"{recipe.name}{f', {known}' if known else ''}{limit}"
    return f"{known or recipe.name} from {recipe.path}{limit}"


def _kind(read: Facts) -> str:
    size = f"{read.image_height} x {read.image_width}"
    return f"images of {size}" if read.image_kind == "images" else f"latents of {read.image_channels} x {size}"
