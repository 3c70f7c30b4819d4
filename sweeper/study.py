"""A study as its author writes it: recipe, space, stages and resources. Frozen, and the only source of defaults."""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from trainer.recipe import Dispersion, Frozen, Recipe, Scalar, Seed, TauUnits, Variant

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
Depth = Annotated[float, Field(ge=0, le=1, strict=True)]
Index = Annotated[int, Field(ge=0, strict=True)]
Block = Index | Depth | Literal["all"] | Annotated[tuple[Index | Depth, ...], Field(min_length=1)]


class Range(Frozen):
    """An interval of a knob: `count` points for a grid, a continuous interval for random and tpe."""

    low: float = Field(gt=0)
    high: float = Field(gt=0)
    count: int = Field(ge=2, le=1_000_000)
    scale: Literal["linear", "log"] = "log"

    @model_validator(mode="after")
    def _low_below_high(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low must be below high, not {self.low:g} and {self.high:g}")
        return self

    def points(self) -> tuple[float, ...]:
        """The grid's points, both ends included, rounded to 6 significant digits."""
        forward, back = (math.log, math.exp) if self.scale == "log" else (float, float)
        low, high = forward(self.low), forward(self.high)
        step = (high - low) / (self.count - 1)
        return tuple(float(f"{back(low + step * i):.6g}") for i in range(self.count))


Positive = Annotated[float, Field(gt=0)]
Axis = Range | Annotated[tuple[Positive, ...], Field(min_length=1)]


def block_indices(block: int | float | str | tuple[int | float, ...], depth: int) -> tuple[int, ...]:
    """Resolve a block as written to 0-based indices in a model of `depth` blocks.

    An int is an index; a float is a fraction of the depth, floor(fraction * depth), with 1.0 the last block, so
    the paper's depth/4 is 0.25; 'all' is every block; a list is several. Raises ValueError outside the depth.
    """
    if block == "all":
        return tuple(range(depth))
    if isinstance(block, tuple):
        return tuple(sorted({index for one in block for index in block_indices(one, depth)}))
    if isinstance(block, float):
        return (min(int(block * depth), depth - 1),)
    if not isinstance(block, int) or not 0 <= block < depth:
        raise ValueError(f"block {block} is outside this model's depth {depth}: 0 to {depth - 1}")
    return (block,)


class Space(Frozen):
    """The knobs a study turns. The baseline, lambda 0, is always included and not written here."""

    block: Annotated[tuple[Block, ...], Field(min_length=1)]
    lam: Axis = Field(alias="lambda")
    tau: Axis = (1.0,)
    variant: Annotated[tuple[Variant, ...], Field(min_length=1)] = ("l2",)
    tau_units: TauUnits = "absolute"


class ExtraCell(Frozen):
    """A setting of its own, marked in the guide; one that the grid already has is marked there."""

    label: str = Field(min_length=1, max_length=80)
    block: Block
    lam: Positive = Field(alias="lambda")
    tau: Positive
    variant: Variant = "l2"
    tau_units: TauUnits = "absolute"


class Control(Frozen):
    """A plain alternative to dispersion: lambda 0 with fields of the recipe changed."""

    name: Name
    set: dict[str, Scalar] = Field(min_length=1, description="dotted recipe fields, e.g. {train.weight_decay: 0.5}")


class Screen(Frozen):
    """Few seeds, every cell, early stopping: finds candidates, claims nothing."""

    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] = (0, 1, 2)
    rungs: Annotated[tuple[Annotated[float, Field(gt=0, le=1)], ...], Field(min_length=1)] = Field(
        (0.5, 1.0), description="where trials are measured, as fractions of train.steps; the last is 1"
    )
    sampler: Literal["grid", "random", "tpe"] = "grid"
    trials: int | None = Field(None, ge=1, description="trial budget of random and tpe, baseline included")
    pruner: Literal["race", "none", "median", "halving", "hyperband", "wilcoxon"] = "race"

    @field_validator("seeds", mode="before")
    @classmethod
    def _count_of_seeds(cls, given: object) -> object:
        return tuple(range(given)) if isinstance(given, int) and not isinstance(given, bool) else given

    @model_validator(mode="after")
    def _rungs_rise_and_budget_fits(self) -> Self:
        if list(self.rungs) != sorted(set(self.rungs)) or self.rungs[-1] != 1:
            raise ValueError(f"rungs must rise and end at 1, not {list(self.rungs)}")
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"seeds must differ, not {list(self.seeds)}")
        if (self.sampler == "grid") != (self.trials is None):
            raise ValueError("trials is the budget of sampler random and tpe; a grid runs every cell")
        return self


class Confirm(Frozen):
    """The best few and the baseline again, on fresh seeds and without pruning."""

    top: int = Field(3, ge=1, le=100)
    seeds: Annotated[tuple[Seed, ...], Field(min_length=2)] = (100, 101, 102, 103, 104)
    margin: float = Field(0.05, gt=0, lt=1, description="relative change of the objective that matters")

    @field_validator("seeds", mode="before")
    @classmethod
    def _count_of_seeds(cls, given: object) -> object:
        return tuple(range(100, 100 + given)) if isinstance(given, int) and not isinstance(given, bool) else given


class Resources(Frozen):
    """What a cohort may use; how many run at once follows from what there is."""

    cpus: int = Field(1, ge=1, description="cores (threads) of one cohort")
    gpus: float = Field(0.0, ge=0, description="GPUs of one cohort; may be a fraction")
    slots: int | None = Field(None, ge=1, description="cohorts at once; default: as many as fit")
    cohort: int | Literal["auto"] = Field("auto", description="trials trained as one program; auto: 1 on a CPU")
    checkpoint_seconds: float = Field(30.0, gt=0, description="longest time between checkpoints of a cohort")
    retries: int = Field(3, ge=0, description="how often a cohort whose worker died is started again")

    @field_validator("cohort")
    @classmethod
    def _at_least_one_lane(cls, given: int | str) -> int | str:
        if isinstance(given, int) and given < 1:
            raise ValueError(f"cohort must be 'auto' or at least 1, not {given}")
        return given


class Study(Frozen):
    """One question about Dispersive Loss, and everything needed to answer it."""

    name: Name
    question: str = Field(min_length=1, max_length=200)
    tuning: str = Field("", description="how the baseline was tuned, told in the guide")
    recipe: Recipe = Recipe()
    space: Space
    cells: tuple[ExtraCell, ...] = ()
    controls: tuple[Control, ...] = ()
    screen: Screen = Screen()
    confirm: Confirm | None = None
    resources: Resources = Resources()

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Self:
        depth = self.recipe.model.depth
        for block in (*self.space.block, *(cell.block for cell in self.cells)):
            block_indices(block, depth)
        if self.space.tau_units == "relative" and self.space.variant != ("l2",):
            raise ValueError(f"tau_units 'relative' is defined for variant l2 only, not {list(self.space.variant)}")
        for cell in self.cells:
            Dispersion(blocks=(0,), lam=cell.lam, tau=cell.tau, variant=cell.variant, tau_units=cell.tau_units)
        for control in self.controls:
            self.recipe.override(control.set)
        if self.confirm and set(self.confirm.seeds) & set(self.screen.seeds):
            raise ValueError("confirm.seeds must be fresh: none of them may be a screen seed")
        return self

    @property
    def objective(self) -> str:
        """The metric the study minimises, e.g. 'fid_10k'."""
        return self.recipe.eval.objective
