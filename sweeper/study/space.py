"""The knobs of the Dispersive Loss as a study writes them: lists, and ranges of lambda and tau."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Annotated, Literal, Self, assert_never

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Discriminator, Field, Tag, model_validator

from sweeper.study.blocks import Block
from trainer.recipe import Distance, Features, Frozen, LocalBatch, Negatives, Share, TauUnits, Variant
from trainer.recipe.regulariser import MOST_SAMPLES


def _axis_shape(given: object) -> str:
    return "<list>" if isinstance(given, (list, tuple)) else "<range>"


def _list_or_range(given: object) -> object:
    if not isinstance(given, (list, tuple, dict, Range)):
        raise ValueError("must be a list such as [0.25, 0.5] or a range such as {low: 0.001, high: 0.1, count: 5}")
    return given


def _above_zero(given: object) -> object:
    if given == 0 and not isinstance(given, bool):
        raise ValueError("must be above 0: lambda 0, the baseline, always runs and is not written here")
    return given


def _no_baseline(given: object) -> object:
    """Refuse lambda 0 in a list or a range with the reason that it always runs, before its bound does without one."""
    if isinstance(given, dict):
        _above_zero(given.get("low"))
    return given


class Range(Frozen):
    """An interval of a knob: `count` points for a grid, a continuous interval for random and tpe."""

    low: float = Field(ge=1e-6)
    high: float = Field(le=1e6)
    count: int = Field(ge=2, le=100_000)
    scale: Literal["linear", "log"] = "log"

    @model_validator(mode="after")
    def _low_below_high(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low must be below high, not {self.low:g} and {self.high:g}")
        return self

    def points(self) -> tuple[float, ...]:
        """The grid's points, both ends included, rounded to 6 significant digits."""
        forward, back = self._warp()
        low, high = forward(self.low), forward(self.high)
        step = (high - low) / (self.count - 1)
        return tuple(float(f"{back(low + step * i):.6g}") for i in range(self.count))

    def _warp(self) -> tuple[Callable[[float], float], Callable[[float], float]]:
        """Return the function under which the points lie evenly, and its inverse."""
        match self.scale:
            case "linear":
                return float, float
            case "log":
                return math.log, math.exp
            case _:
                assert_never(self.scale)


Positive = Annotated[float, Field(ge=1e-6, le=1e6)]  # as in the trainer's Dispersion
Lambda = Annotated[Positive, BeforeValidator(_above_zero)]
Points = Annotated[tuple[Positive, ...], Field(min_length=1)]
Lambdas = Annotated[tuple[Lambda, ...], Field(min_length=1)]
LambdaAxis = Annotated[
    Annotated[Range, BeforeValidator(_no_baseline), Tag("<range>")] | Annotated[Lambdas, Tag("<list>")],
    Discriminator(_axis_shape),
    BeforeValidator(_list_or_range),
]
Axis = Annotated[
    Annotated[Range, Tag("<range>")] | Annotated[Points, Tag("<list>")],
    Discriminator(_axis_shape),
    BeforeValidator(_list_or_range),
]


def _all_or_count(given: object) -> object:
    if given != "all" and not _is_count(given, 2):
        raise ValueError(f"must be 'all' or a number of samples from 2 to {MOST_SAMPLES}")
    return given


def _batch_or_count(given: object) -> object:
    if given != "batch" and not _is_count(given, 1):
        raise ValueError(f"must be 'batch' or a number of earlier samples from 1 to {MOST_SAMPLES}")
    return given


def _is_count(given: object, least: int) -> bool:
    return isinstance(given, int) and not isinstance(given, bool) and least <= given <= MOST_SAMPLES


def _word_for_one(given: TauUnits | tuple[TauUnits, ...]) -> TauUnits | tuple[TauUnits, ...]:
    # One space has one spelling, and that of studies recorded when there was no list.
    return given[0] if isinstance(given, tuple) and len(given) == 1 else given


# A union by itself would report what is wrong once a member.
OneLocalBatch = Annotated[LocalBatch, BeforeValidator(_all_or_count)]
OneNegatives = Annotated[Negatives, BeforeValidator(_batch_or_count)]
LocalBatches = Annotated[tuple[OneLocalBatch, ...], Field(min_length=1)]
ManyNegatives = Annotated[tuple[OneNegatives, ...], Field(min_length=1)]
Shares = Annotated[tuple[Share, ...], Field(min_length=1)]
UnitsAxis = Annotated[
    Annotated[TauUnits, Tag("<word>")] | Annotated[tuple[TauUnits, ...], Field(min_length=1), Tag("<list>")],
    Discriminator(lambda given: "<list>" if isinstance(given, (list, tuple)) else "<word>"),
    AfterValidator(_word_for_one),
]


class Space(Frozen):
    """The knobs a study turns. The baseline, lambda 0, is always included and not written here."""

    # A dump must be readable by the model that wrote it, and only YAML's word `lambda` is.
    model_config = ConfigDict(serialize_by_alias=True)

    block: Annotated[tuple[Block, ...], Field(min_length=1)]
    lam: LambdaAxis = Field(alias="lambda")
    tau: Axis = (1.0,)
    variant: Annotated[tuple[Variant, ...], Field(min_length=1)] = ("l2",)
    tau_units: UnitsAxis = "absolute"
    local_batch: LocalBatches = ("all",)
    distance: Annotated[tuple[Distance, ...], Field(min_length=1)] = ("mean",)
    features: Annotated[tuple[Features, ...], Field(min_length=1)] = ("raw",)
    negatives: ManyNegatives = ("batch",)
    lam_warmup: Shares = Field((0.0,), alias="lambda_warmup")
    lam_end: Shares = Field((1.0,), alias="lambda_end")


class Form(Frozen):
    """What a setting of the loss has beside its block and lambda; each with its usual value."""

    model_config = ConfigDict(serialize_by_alias=True)

    tau: Positive = 1.0
    variant: Variant = "l2"
    tau_units: TauUnits = "absolute"
    local_batch: OneLocalBatch = "all"
    distance: Distance = "mean"
    features: Features = "raw"
    negatives: OneNegatives = "batch"
    lam_warmup: Share = Field(0.0, alias="lambda_warmup")
    lam_end: Share = Field(1.0, alias="lambda_end")


class ExtraCell(Form):
    """A setting of its own, marked in the guide; one that the grid already has is marked there."""

    label: str = Field(min_length=1, max_length=80)
    block: Block
    lam: Lambda = Field(alias="lambda")


def values(axis: Iterable[float] | Range) -> tuple[float, ...]:
    """Return the points of an axis, each once, in the order written."""
    return tuple(dict.fromkeys(axis.points() if isinstance(axis, Range) else axis))
