"""The scope of a study's results: its data, its model and its training."""

from __future__ import annotations

from collections.abc import Iterable

from sweeper.errors import DataError
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
    """Name the data by what it is, how much was read and from where; records made before counted nothing."""
    read = next((one for one in facts if one and one.images), None)
    limit = f" ({counted(recipe.limit, 'training image')})" if recipe.limit else ""
    known = f"{read.images:,} {_kind(read)}" if read else ""
    if not recipe.path:
        return f"{recipe.name}{f', {known}' if known else ''}{limit}"
    return f"{known or recipe.name} from {recipe.path}{limit}"


def _kind(read: Facts) -> str:
    size = f"{read.image_height} x {read.image_width}"
    return f"images of {size}" if read.image_kind == "images" else f"latents of {read.image_channels} x {size}"


def refuse_mixed(record: StudyRecord) -> None:
    """Raise DataError where trials of one arm had other data or another extractor: no guide can compare them."""
    seen: dict[str, Facts] = {}
    for trial in record.trials:
        if trial.facts is None:
            continue
        now, first = trial.facts, seen.setdefault(trial.spec.cell.key, trial.facts)
        for what, one, other in (
            ("data", first.data_hash, now.data_hash),
            ("extractors", first.extractor_sha256, now.extractor_sha256),
            ("references", first.reference_sha256, now.reference_sha256),
        ):
            if one != other:
                raise DataError(
                    f"the record of {record.study.name!r} holds trials of two {what}, {one[:16]} and {other[:16]} "
                    f"(both of {trial.spec.cell.label}), which cannot be compared",
                    "run the study of each under a name of its own",
                )
