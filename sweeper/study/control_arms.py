"""Control arms, with which dispersion is compared: weight decay, early stopping or REPA, with or without it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, get_args

from pydantic import BeforeValidator, Field, ValidationError
from pydantic_core import InitErrorDetails

from sweeper.study.blocks import Block
from sweeper.study.field_error import FieldError, Loc, details_of
from sweeper.study.knobs import cell_setting
from sweeper.study.settings import cell_errors
from sweeper.study.space import ExtraCell, Form, Lambda
from trainer.recipe import (
    Dispersion,
    Frozen,
    LaterBlocks,
    Recipe,
    Scalar,
    TrainRecipe,
)
from trainer.recipe.auxiliary_losses import AuxiliaryLoss
from trainer.recipe.idle_fields import KEPT

# Parts of a recipe that need not be there; their fields are set one by one.
AUXILIARY: Mapping[str, type[Frozen]] = {
    f"train.{name}": kind
    for name, field in TrainRecipe.model_fields.items()
    for kind in get_args(AuxiliaryLoss)
    if kind in get_args(field.annotation)
}
PARTS: Mapping[str, type[Frozen]] = {**AUXILIARY, "train.later_blocks": LaterBlocks}

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


class Control(Form):
    """An arm beside the settings: fields of the recipe changed, at lambda 0 or with a setting of the loss of its own.

    Such a setting is written as a cell's is; `block` and `lambda` say that there is one.
    """

    name: Name
    set: dict[str, Annotated[Scalar, BeforeValidator(_plain_value)]] = Field(
        min_length=1, description="dotted recipe fields, e.g. {train.weight_decay: 0.5} or {train.repa.lambda: 0.5}"
    )
    block: Block | None = None
    lam: Lambda | None = Field(
        None, alias="lambda", description="with block: adds this setting of the Dispersive Loss to the arm"
    )

    @property
    def setting(self) -> ExtraCell | None:
        """The setting of the Dispersive Loss it trains, as a cell; None at lambda 0."""
        if self.block is None or self.lam is None:
            return None
        fields = ((field.alias or name, name) for name, field in ExtraCell.model_fields.items() if name != "label")
        given = {written: getattr(self, name) for written, name in fields}
        return ExtraCell.model_validate({**given, "label": self.name})

    @property
    def loose(self) -> tuple[str, ...]:
        """The fields of a setting that are given without block and lambda, and would do nothing."""
        if self.setting is not None:
            return ()
        # Not what was written: a study that was kept has every field.
        fields = ((name, type(self).model_fields[name]) for name in ExtraCell.model_fields if name != "label")
        return tuple(name for name, field in fields if getattr(self, name) != field.default)

    def dispersion(self, taps: Sequence[str]) -> Dispersion:
        """Return what it trains in a model with these taps, which are the study's."""
        cell = self.setting
        return cell_setting(cell, taps) if cell else Dispersion()


def control_fields() -> tuple[str, ...]:
    """Return the dotted recipe fields a control may set.

    Not those that change what is measured (all of `eval`, the data set itself, and what is predicted: the held-out
    loss is of it), which would make its figures incomparable; nor `model.preset`, whose fields a finished recipe has
    filled in already.
    """
    parts = Recipe().model_dump()
    dotted = [f"{part}.{name}" for part in ("model", "train") for name in parts[part]]
    plain = (name for name in dotted if name not in ("model.preset", *PARTS))
    within = (
        f"{part}.{field.alias or name}" for part, kind in PARTS.items() for name, field in kind.model_fields.items()
    )
    return ("data.limit", *plain, *within)


def control_errors(controls: Sequence[Control], recipe: Recipe, kept: bool = False) -> Iterator[InitErrorDetails]:
    """Yield the mistakes in the control arms of a study that trains `recipe`; in a `kept` study ignore idle fields."""
    names = {"baseline"}
    arms: dict[tuple[str, Dispersion], str] = {(recipe.hash, Dispersion()): "the baseline"}
    for place, control in enumerate(controls):
        loc: Loc = ("controls", place)
        if control.name in names:
            yield FieldError(
                (*loc, "name"), "must differ from 'baseline' and every other control", control.name
            ).details()
        names.add(control.name)
        wrong = list(_wrong_fields(control, recipe, (*loc, "set"), kept))
        wrong = wrong or [error.details() for error in _wrong_setting(control, recipe, loc, kept)]
        yield from wrong
        if not wrong:
            arm = recipe.override(control.set).hash, control.dispersion(recipe.model.taps)
            if arm in arms:
                says = f"must change the recipe into one of its own, but it trains like {arms[arm]}"
                yield FieldError((*loc, "set"), says, control.set).details()
            arms.setdefault(arm, f"control {control.name!r}")


def _wrong_setting(control: Control, recipe: Recipe, loc: Loc, kept: bool) -> Iterator[FieldError]:
    for name in control.loose:
        written = ExtraCell.model_fields[name].alias or name
        says = "must stand beside block and lambda, which make a setting of the Dispersive Loss"
        yield FieldError((*loc, written), says, getattr(control, name))
    if control.setting is None:
        return
    own = recipe.override(control.set)
    if own.model.taps != recipe.model.taps:
        yield FieldError(
            (*loc, "block"), "must not stand beside a model of other blocks than the study's", control.block
        )
        return
    if own.train.batch == 1:
        says = "must leave train.batch above 1 beside block and lambda: Dispersive Loss is 0 at batch 1"
        yield FieldError((*loc, "set"), says, control.set)
        return
    yield from cell_errors(control.setting, own, loc, kept)


def _fields_of(part: str) -> list[str]:
    return [field.alias or name for name, field in PARTS[part].model_fields.items()]


def _wrong_fields(control: Control, recipe: Recipe, loc: Loc, kept: bool) -> Iterator[InitErrorDetails]:
    allowed = control_fields()
    unknown = [name for name in control.set if name not in allowed]
    for name in unknown:
        if name in PARTS:
            first, *_ = fields = _fields_of(name)
            says = f"must be set field by field, as {name}.{first}: {', '.join(fields)}"
            yield FieldError((*loc, name), says, control.set[name]).details()
            continue
        says = f"must be a recipe field that a control may set, not {name!r}"
        yield FieldError((*loc, name), says, control.set[name], "unknown_field").details()
    if unknown:
        return
    kind = recipe.model.kind
    if control.set.get("model.kind", kind) != kind:
        # Every field of the study's model would be an unknown one of the other.
        says = f"must be that of the study's model, {kind!r}: another kind of model is another study"
        yield FieldError((*loc, "model.kind"), says, control.set["model.kind"]).details()
        return
    try:
        # Strictly: Recipe.override alone would take true for 1 and '5' for 5.
        Recipe.model_validate(recipe.tree_with(control.set), strict=True, context=KEPT if kept else None)
    except ValidationError as error:
        for line in details_of(error):
            # Parts in <...> are tags of unions, which nobody writes.
            dotted = ".".join(str(part) for part in line["loc"] if not str(part).startswith("<"))
            place = (*loc, dotted) if dotted in control.set else loc
            if line["type"] == "extra_forbidden":
                says = f"must be a field that the study's model has, which is of kind {kind!r}"
                yield FieldError(place, says, line["input"]).details()
            else:
                yield {**line, "loc": place}
