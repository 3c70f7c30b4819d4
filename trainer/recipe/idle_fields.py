"""Fields that have no effect given the others of their configuration, each refused where it is written.

A user who sets such a field believes that it acts. A table per root lists the condition under which each field acts:
`RECIPE` here, a study's in `sweeper.study.idle_fields`. A field in no table always acts; a test checks the tables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationInfo

from trainer.recipe.data import ARRAY_FILES, IMAGE_FILES
from trainer.recipe.objective import TIME_SCALES, InterpolantRecipe, MeanFlowRecipe

if TYPE_CHECKING:
    from trainer.recipe.recipe import Recipe

# The pydantic context for reading a configuration that was accepted before, perhaps before a row was added here.
KEPT: Mapping[str, bool] = {"kept": True}
Root = TypeVar("Root", bound=BaseModel)


class Acts(NamedTuple, Generic[Root]):
    """A field by its dotted name, beside what it `acts`, and a sentence for where it does not.

    A part of several kinds may have the field in some of them alone. `usual` returns the value that counts as not
    given, where that is not the field's default.
    """

    field: str
    acts: Callable[[Root], bool]
    says: str
    usual: Callable[[Root], object] | None = None


class Idle(NamedTuple):
    """A field that changes nothing: where it is written, a sentence that begins with 'must', and what was given."""

    loc: tuple[str, ...]
    says: str
    value: object


def idle_fields(root: Root, table: Sequence[Acts[Root]]) -> Iterator[Idle]:
    """Yield each field of the table that leaves its default and changes nothing.

    It compares with defaults, since a recorded configuration has every field written out.
    """
    for row in table:
        *parents, name = row.field.split(".")
        part: BaseModel | None = root
        for parent in parents:
            part = getattr(part, parent)
        field = type(part).model_fields.get(name) if part else None  # a study may have no confirm stage
        if field is None or row.acts(root):
            continue
        usual = row.usual(root) if row.usual else field.get_default()
        if (value := getattr(part, name)) != usual:
            yield Idle((*parents, field.alias or name), row.says, value)


def is_kept(value: object, model: type[BaseModel], info: ValidationInfo) -> bool:
    """Whether `value` was accepted before: it is read with `KEPT`, or a model already, a part of another one now."""
    return info.context == KEPT or isinstance(value, model)


def _is_of_arrays(recipe: Recipe) -> bool:
    return recipe.data.name in ARRAY_FILES


def _has_normal_times(recipe: Recipe) -> bool:
    return (
        isinstance(recipe.objective, (InterpolantRecipe, MeanFlowRecipe)) and recipe.objective.times == "logit_normal"
    )


def _is_guided(recipe: Recipe) -> bool:
    return any(scale != 1 for scale in (recipe.eval.cfg, *recipe.eval.cfg_curve))


def _has_weight(recipe: Recipe) -> bool:
    return getattr(recipe.objective, "power", 0) > 0


_ARRAYS = f"must be left out where data.name is none of {', '.join(ARRAY_FILES)}: it is about a file of arrays"
_TIMES = "must stand beside objective.times 'logit_normal': uniform times have none"
_GUIDED = "must stand beside guidance, an eval.cfg or a scale of eval.cfg_curve other than 1"

RECIPE: tuple[Acts[Recipe], ...] = (
    *(Acts(f"data.{name}", _is_of_arrays, _ARRAYS) for name in ("layout", "scale", "shift", "shape", "classes")),
    Acts(
        "data.channels",
        lambda recipe: recipe.data.name in IMAGE_FILES,
        f"must be left out where data.name is none of {', '.join(IMAGE_FILES)}: other data have their own",
    ),
    Acts("objective.time_mean", _has_normal_times, _TIMES),
    Acts("objective.time_std", _has_normal_times, _TIMES),
    Acts("objective.offset", _has_weight, "must stand beside an objective.power above 0: at 0 the weight is 1"),
    Acts(
        "train.time_scale",
        lambda recipe: recipe.model.kind != "module",
        "must be left out beside model.kind 'module', which takes times as they are",
        usual=lambda recipe: TIME_SCALES[recipe.objective.kind],
    ),
    Acts("eval.cfg_interval", _is_guided, _GUIDED),
    Acts("eval.cfg_channels", _is_guided, _GUIDED),
    Acts(
        "eval.cfg_samples",
        lambda recipe: bool(recipe.eval.cfg_curve),
        "must stand beside eval.cfg_curve, at each of whose scales so many samples are drawn",
    ),
    Acts(
        "eval.cfg_rungs",
        lambda recipe: bool(recipe.eval.cfg_curve),
        "must stand beside eval.cfg_curve, which is measured after so many of the steps",
    ),
    Acts(
        "eval.probe_levels",
        lambda recipe: recipe.eval.linear_probe != "none",
        "must stand beside an eval.linear_probe other than 'none', which looks at these levels",
    ),
)
