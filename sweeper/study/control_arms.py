"""Control arms: plain alternatives to dispersion, such as weight decay or early stopping."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated

from pydantic import BeforeValidator, Field, ValidationError
from pydantic_core import InitErrorDetails

from sweeper.study.misfit import Loc, Misfit, details_of
from trainer.recipe import Frozen, Recipe, Scalar

# A name becomes a folder: one that is only dots would be the folder itself or its parent.
NAME = r"^\.*[A-Za-z0-9_-][A-Za-z0-9._-]*$"


def _name(given: object) -> object:
    if not isinstance(given, str) or len(given) > 64 or not re.fullmatch(NAME.strip("^$"), given):
        raise ValueError("must be a text of 1 to 64 letters, digits, '.', '_' and '-', and not only dots")
    return given


Name = Annotated[str, Field(min_length=1, max_length=64, pattern=NAME), BeforeValidator(_name)]


def _plain_value(given: object) -> object:
    if not isinstance(given, bool | int | float | str):
        raise ValueError("must be a plain value: a number, a text, true or false")
    return given


class Control(Frozen):
    """A plain alternative to dispersion: lambda 0 with fields of the recipe changed."""

    name: Name
    set: dict[str, Annotated[Scalar, BeforeValidator(_plain_value)]] = Field(
        min_length=1, description="dotted recipe fields, e.g. {train.weight_decay: 0.5}"
    )


def control_fields() -> tuple[str, ...]:
    """Return the dotted recipe fields a control may set.

    Not those that change what is measured (all of `eval`, the data set itself, and what is predicted: the held-out
    loss is of it), which would make its figures incomparable; nor `model.preset`, whose fields a finished recipe has
    filled in already.
    """
    parts = Recipe().model_dump()
    dotted = [f"{part}.{name}" for part in ("model", "train") for name in parts[part]]
    return ("data.limit", *(name for name in dotted if name not in ("model.preset",)))


def misfits(controls: Sequence[Control], recipe: Recipe) -> Iterator[InitErrorDetails]:
    """Yield what is wrong with the control arms of a study that trains `recipe`."""
    names = {"baseline"}
    arms = {recipe.hash: "the baseline"}
    for place, control in enumerate(controls):
        loc: Loc = ("controls", place)
        if control.name in names:
            yield Misfit((*loc, "name"), "must differ from 'baseline' and every other control", control.name).details()
        names.add(control.name)
        wrong = list(_wrong_fields(control, recipe, (*loc, "set")))
        yield from wrong
        if not wrong:
            arm = recipe.override(control.set).hash
            if arm in arms:
                says = f"must change the recipe into one of its own, but it trains like {arms[arm]}"
                yield Misfit((*loc, "set"), says, control.set).details()
            arms.setdefault(arm, f"control {control.name!r}")


def _wrong_fields(control: Control, recipe: Recipe, loc: Loc) -> Iterator[InitErrorDetails]:
    allowed = control_fields()
    unknown = [name for name in control.set if name not in allowed]
    for name in unknown:
        says = f"must be a recipe field that a control may set, not {name!r}"
        yield Misfit((*loc, name), says, control.set[name], "unknown_field").details()
    if unknown:
        return
    try:
        # Strictly: Recipe.override alone would take true for 1 and '5' for 5.
        Recipe.model_validate(_overridden(recipe, control.set), strict=True)
    except ValidationError as error:
        for line in details_of(error):
            dotted = ".".join(str(part) for part in line["loc"])
            line["loc"] = (*loc, dotted) if dotted in control.set else loc
            yield line


def _overridden(recipe: Recipe, changes: Mapping[str, Scalar]) -> dict[str, dict[str, object]]:
    tree: dict[str, dict[str, object]] = recipe.model_dump()
    for dotted, value in changes.items():
        part, name = dotted.split(".")
        tree[part][name] = value
    return tree
