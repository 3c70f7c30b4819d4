"""A study as its author writes it: recipe, space, stages and resources. Frozen, and the only source of defaults."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    ModelWrapValidatorHandler,
    Tag,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from sweeper.study import control_arms, settings
from sweeper.study.control_arms import Control, Name
from sweeper.study.idle_fields import idle_in_study
from sweeper.study.misfit import Misfit
from sweeper.study.pruner_facts import Pruner
from sweeper.study.space import ExtraCell, Space
from trainer.recipe import Frozen, Recipe, Seed
from trainer.recipe.idle_fields import is_kept

MAX_SEEDS = 1000
MOST_CORES = 100_000


def _is_count(given: object, least: int) -> bool:
    return isinstance(given, int) and not isinstance(given, bool) and least <= given <= MAX_SEEDS


def _seeds_from_0(given: object) -> object:
    """Let the screen's seeds be written as their number: `seeds: 3` is 0, 1, 2."""
    if isinstance(given, (list, tuple)):
        return given
    if not _is_count(given, 1):
        raise ValueError(f"must be a number of seeds from 1 to {MAX_SEEDS}, or a list of seeds")
    assert isinstance(given, int)
    return tuple(range(given))


def _fresh_count(given: object) -> object:
    if given != "auto" and not _is_count(given, 2):
        raise ValueError(f"must be 'auto', a number of seeds from 2 to {MAX_SEEDS}, or a list of seeds")
    return given


FreshCount = Annotated[Literal["auto"] | int, BeforeValidator(_fresh_count)]
FreshList = Annotated[tuple[Seed, ...], Field(min_length=2)]


class Screen(Frozen):
    """Few seeds, every cell, early stopping: finds candidates, claims nothing."""

    seeds: Annotated[
        tuple[Seed, ...],
        Field(min_length=1),
        BeforeValidator(_seeds_from_0, json_schema_input_type=int | tuple[Seed, ...]),
    ] = (0, 1, 2)
    rungs: Annotated[tuple[Annotated[float, Field(gt=0, le=1)], ...], Field(min_length=1)] = Field(
        (0.5, 1.0), description="where trials are measured, as fractions of train.steps; the last is 1"
    )
    sampler: Literal["grid", "random", "tpe"] = "grid"
    trials: int | None = Field(None, ge=1, description="trial budget of random and tpe, baseline included")
    pruner: Pruner = "race"
    audit_fraction: float = Field(
        0.1, ge=0, le=1, description="share of the pruned configurations that run to their end, to check the pruner"
    )

    @model_validator(mode="after")
    def _rungs_rise_and_budget_fits(self) -> Self:
        if list(self.rungs) != sorted(set(self.rungs)) or self.rungs[-1] != 1:
            raise ValueError(f"rungs must rise and end at 1, not {list(self.rungs)}")
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"seeds must differ, not {list(self.seeds)}")
        if self.sampler == "grid" and self.trials is not None:
            raise ValueError("trials is the budget of sampler random and tpe; a grid runs every cell")
        if self.sampler != "grid" and self.trials is None:
            raise ValueError(f"trials is missing: sampler {self.sampler} needs a trial budget")
        return self


class Confirm(Frozen):
    """The best few, marked cells, controls and the baseline again, on fresh seeds and without pruning.

    `seeds` is their number or, best left to the product, a list. `auto` takes as many as show a gain of `margin` with
    the wished-for power, given the spread the screen measured: at least 3, at most `limit`. They are chosen before
    anything is seen on them; which ones follows from the study: see `sweeper.study.fresh_seeds`.
    """

    top: int = Field(3, ge=1, le=100)
    seeds: Annotated[
        Annotated[FreshCount, Tag("<count>")] | Annotated[FreshList, Tag("<list>")],
        Discriminator(lambda given: "<list>" if isinstance(given, (list, tuple)) else "<count>"),
    ] = 5
    margin: float = Field(0.05, gt=0, lt=1, description="relative change of the objective that matters")
    power: float = Field(0.8, gt=0, lt=1, description="wished-for chance to see a gain of `margin`, for seeds: auto")
    limit: int = Field(12, ge=3, le=MAX_SEEDS, description="most seeds that auto may choose")

    @model_validator(mode="after")
    def _seeds_differ(self) -> Self:
        if isinstance(self.seeds, tuple) and len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"seeds must differ, not {list(self.seeds)}")
        return self

    def seed_count(self, needed: int | None = None) -> int:
        """Return how many seeds the stage takes: as written or, for auto, as many as `needed`, at most the limit."""
        if isinstance(self.seeds, tuple):
            return len(self.seeds)
        if self.seeds == "auto":
            return self.limit if needed is None else min(needed, self.limit)
        return self.seeds


class Resources(Frozen):
    """What a cohort may use; how many run at once follows from what there is."""

    cpus: int = Field(1, ge=1, le=MOST_CORES, description="cores (threads) of one cohort")
    gpus: float = Field(0.0, ge=0, description="GPUs of one cohort; may be a fraction")
    slots: int | None = Field(None, ge=1, le=MOST_CORES, description="cohorts at once; default: as many as fit")
    cohort: int | Literal["auto"] = Field(
        "auto", description="trials in one program, refilled at rungs; auto: 1 on a CPU"
    )
    checkpoint_seconds: float = Field(30.0, gt=0, description="longest time between checkpoints of a cohort")
    retries: int = Field(3, ge=0, description="how often a cohort whose worker died is started again")

    @field_validator("gpus")
    @classmethod
    def _at_most_one_gpu(cls, given: float) -> float:
        if given > 1:
            raise ValueError(
                "must be at most 1: a cohort trains on one GPU or a part of it; further GPUs train other cohorts "
                "at the same time"
            )
        return given

    @field_validator("cohort", mode="before")
    @classmethod
    def _auto_or_lanes(cls, given: object) -> object:
        is_count = isinstance(given, int) and not isinstance(given, bool) and given >= 1
        if not is_count and given != "auto":
            raise ValueError("must be 'auto' or a number of trials from 1")
        return given


class Study(Frozen):
    """One question about Dispersive Loss, and everything needed to answer it.

    From a file by `sweeper.study.yaml_files.read_study`, or in Python:

        >>> study = Study(
        ...     name="mine", question="Does it help?", space={"block": ["all"], "lambda": [0.1], "tau": [0.5, 1.0]}
        ... )
        >>> study.objective, study.screen.seeds
        ('fid_10k', (0, 1, 2))
    """

    name: Name
    question: str = Field(min_length=1, max_length=200)
    tuning: str = Field("", description="how the baseline was tuned; the guide repeats it")
    recipe: Recipe = Recipe()
    space: Space
    cells: tuple[ExtraCell, ...] = ()
    controls: tuple[Control, ...] = ()
    screen: Screen = Screen()
    confirm: Confirm | None = None
    resources: Resources = Resources()
    keep: Literal["none", "finalists", "all"] = Field(
        "finalists",
        description="whose averaged weights are kept: of every complete trial of the confirm stage, of all, of none",
    )

    @model_validator(mode="wrap")
    @classmethod
    def _parts_fit_together(cls, given: object, made: ModelWrapValidatorHandler[Self], info: ValidationInfo) -> Self:
        study, kept = made(given), is_kept(given, cls, info)
        wrong = [
            *(misfit.details() for misfit in settings.misfits(study.space, study.cells, study.recipe, kept)),
            *control_arms.misfits(study.controls, study.recipe, kept),
            *(misfit.details() for misfit in study._misfits()),
            *(misfit.details() for misfit in (() if kept else idle_in_study(study))),
        ]
        if wrong:
            # pydantic merges a ValidationError raised here into its own and keeps the places (pydantic-core 2).
            raise ValidationError.from_exception_data("Study", wrong)
        return study

    def _misfits(self) -> Iterator[Misfit]:
        if self.recipe.train.batch == 1:
            yield Misfit(("recipe", "train", "batch"), "must be at least 2: Dispersive Loss is 0 at batch 1", 1)
        written = self.confirm.seeds if self.confirm and isinstance(self.confirm.seeds, tuple) else ()
        for place, seed in enumerate(written):
            if seed in self.screen.seeds:
                yield Misfit(("confirm", "seeds", place), "must be fresh: no seed of the screen", seed)
        fixed = 1 + len(self.cells) + len(self.controls)
        least = (fixed + 1) * len(self.screen.seeds)
        if self.screen.trials is not None and self.screen.trials < least:
            says = (
                f"must be at least {least}: {len(self.screen.seeds)} seeds of the baseline, "
                f"{fixed - 1} extra cells and controls, and one configuration to search"
            )
            yield Misfit(("screen", "trials"), says, self.screen.trials)

    @property
    def objective(self) -> str:
        """The metric the study minimises, e.g. 'fid_10k'."""
        return self.recipe.eval.objective
