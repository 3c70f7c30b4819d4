"""The schema of a study file: recipe, space, stages and resources. Frozen, and the only source of defaults."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
from sweeper.study.baseline_seeds import further_seeds
from sweeper.study.control_arms import Control, Name
from sweeper.study.field_error import FieldError
from sweeper.study.idle_fields import idle_in_study
from sweeper.study.objective import USUAL, Objective, refusal
from sweeper.study.pruners import Pruner
from sweeper.study.second_objectives import SecondName, SecondObjective, measured, second_errors
from sweeper.study.space import ExtraCell, Space
from trainer.recipe import METRICS, Frozen, MetricName, Recipe, Seed
from trainer.recipe.identity import Later
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


def _baseline_count(given: object) -> object:
    if given is not None and given != "auto" and not _is_count(given, 1):
        raise ValueError(f"must be 'auto' or a number of seeds from 1 to {MAX_SEEDS}")
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
    baseline_seeds: Annotated[Literal["auto"] | int | None, BeforeValidator(_baseline_count), Later()] = Field(
        None,
        description="how many seeds lambda 0 has, where that is more than a setting has; auto: the settings' "
        "times the square root of the number of settings, 19 at most",
    )
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
        if isinstance(self.baseline_seeds, int) and self.baseline_seeds < len(self.seeds):
            raise ValueError(f"baseline_seeds must be at least the {len(self.seeds)} of the settings")
        if self.sampler == "grid" and self.trials is not None:
            raise ValueError("trials is the budget of sampler random and tpe; a grid runs every cell")
        if self.sampler != "grid" and self.trials is None:
            raise ValueError(f"trials is missing: sampler {self.sampler} needs a trial budget")
        return self


class Confirm(Frozen):
    """The best few, marked cells, controls and the baseline again, on fresh seeds and without pruning.

    `seeds` is their number, or a list. With `auto` they arrive in `looks`: after each, whoever is confirmed, or can
    hardly be any more, takes no further ones; `limit` is the most. The schedule is fixed before anything is seen on
    them, and so is which ones they are: see `sweeper.study.fresh_seeds`.
    """

    top: int = Field(3, ge=1, le=100)
    seeds: Annotated[
        Annotated[FreshCount, Tag("<count>")] | Annotated[FreshList, Tag("<list>")],
        Discriminator(lambda given: "<list>" if isinstance(given, (list, tuple)) else "<count>"),
    ] = 5
    margin: float = Field(0.05, gt=0, lt=1, description="relative change of the objective that matters")
    power: float = Field(0.8, gt=0, lt=1, description="desired probability of detecting a gain of `margin`")
    looks: tuple[Annotated[int, Field(ge=3, le=MAX_SEEDS)], ...] = Field(
        (3, 5, 8, 12, 20), description="after how many fresh seeds finalists are judged, for seeds: auto"
    )
    limit: int = Field(12, ge=3, le=MAX_SEEDS, description="most seeds that auto takes")
    equivalence: bool = Field(
        False,
        description="auto adds seeds to arms that seem to change nothing until they are shown to be within the margin",
    )

    @model_validator(mode="after")
    def _seeds_differ_and_looks_rise(self) -> Self:
        if isinstance(self.seeds, tuple) and len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"seeds must differ, not {list(self.seeds)}")
        if list(self.looks) != sorted(set(self.looks)):
            raise ValueError(f"looks must rise, not {list(self.looks)}")
        return self

    @property
    def schedule(self) -> tuple[int, ...]:
        """The numbers of fresh seeds after which finalists are judged; one, that of all seeds, unless `auto`."""
        if isinstance(self.seeds, tuple):
            return (len(self.seeds),)
        if self.seeds == "auto":
            return (*(look for look in self.looks if look < self.limit), self.limit)
        return (self.seeds,)

    @property
    def seed_count(self) -> int:
        """How many fresh seeds the stage takes at most."""
        return self.schedule[-1]


class Resources(Frozen):
    """What a cohort may use; how many run at once follows from what there is."""

    cpus: int = Field(1, ge=1, le=MOST_CORES, description="cores (threads) of one cohort")
    gpus: float = Field(0.0, ge=0, description="GPUs of one cohort; may be a fraction")
    slots: int | None = Field(None, ge=1, le=MOST_CORES, description="cohorts at once; default: as many as fit")
    cohort: int | Literal["auto"] = Field(
        "auto", description="trials trained together, refilled at rungs; auto: 1 on a CPU"
    )
    checkpoint_seconds: float = Field(30.0, gt=0, description="longest time between checkpoints of a cohort")
    retries: int = Field(3, ge=0, description="how often a cohort is restarted after its worker died")

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
        >>> study.minimised.name(), study.screen.seeds
        ('fid_10k', (0, 1, 2))
    """

    name: Name
    question: str = Field(min_length=1, max_length=200)
    tuning: str = Field("", description="how the baseline was tuned; the guide repeats it")
    objective: Annotated[MetricName, Later()] = Field(
        USUAL, description="the metric that judges trials at every rung and settings in every claim; default: FID"
    )
    second_objectives: Annotated[tuple[SecondName, ...], Later()] = Field(
        (),
        description="what the objective may be traded for: other metrics, and cost, the operations of training",
    )
    recipe: Recipe = Recipe()
    space: Space
    cells: tuple[ExtraCell, ...] = ()
    controls: tuple[Control, ...] = ()
    screen: Screen = Screen()
    confirm: Confirm | None = None
    resources: Resources = Resources()
    keep: Literal["none", "finalists", "all"] = Field(
        "finalists",
        description="which averaged weights are kept: those of the confirm stage's complete trials, of all, or none",
    )

    @model_validator(mode="wrap")
    @classmethod
    def _parts_fit_together(cls, given: object, made: ModelWrapValidatorHandler[Self], info: ValidationInfo) -> Self:
        study, kept = made(given), is_kept(given, cls, info)
        wrong = [
            *(error.details() for error in settings.space_errors(study.space, study.cells, study.recipe, kept)),
            *control_arms.control_errors(study.controls, study.recipe, kept),
            *(error.details() for error in study._study_errors()),
            *(error.details() for error in (() if kept else idle_in_study(study))),
        ]
        if wrong:
            # pydantic merges a ValidationError raised here into its own and keeps the places (pydantic-core 2).
            raise ValidationError.from_exception_data("Study", wrong)
        return study

    def _study_errors(self) -> Iterator[FieldError]:
        if self.recipe.train.batch == 1:
            yield FieldError(("recipe", "train", "batch"), "must be at least 2: Dispersive Loss is 0 at batch 1", 1)
        if says := refusal(self.objective, self.recipe.eval):
            yield FieldError(("objective",), says, self.objective)
        yield from second_errors(self.objective, self.second_objectives, self.recipe.eval)
        if self.resources.gpus and self.recipe.eval.compile == "on":
            says = "must be 'auto' or 'off' where resources.gpus is above 0: compiled samples are for CPUs"
            yield FieldError(("recipe", "eval", "compile"), says, "on")
        if self.resources.gpus and self.recipe.eval.precision == "bf16":
            says = "must be 'auto' or 'fp32' where resources.gpus is above 0: samples in bf16 are for CPUs"
            yield FieldError(("recipe", "eval", "precision"), says, "bf16")
        written = self.confirm.seeds if self.confirm and isinstance(self.confirm.seeds, tuple) else ()
        for place, seed in enumerate(written):
            if seed in self.screen.seeds:
                yield FieldError(("confirm", "seeds", place), "must be fresh: no seed of the screen", seed)
        fixed = 1 + len(self.cells) + len(self.controls)
        further = len(further_seeds(self)) if self.screen.trials is not None else 0
        least = (fixed + 1) * len(self.screen.seeds) + further
        if self.screen.trials is not None and self.screen.trials < least:
            says = (
                f"must be at least {least}: {len(self.screen.seeds) + further} seeds of the baseline, "
                f"{fixed - 1} extra cells and controls, and one configuration to search"
            )
            yield FieldError(("screen", "trials"), says, self.screen.trials)

    @property
    def minimised(self) -> Objective:
        """What the study minimises, by its name in a record, e.g. 'fid_10k', and as a value."""
        return Objective(METRICS[self.objective], self.recipe.eval, frozenset(self.second_objectives))

    @property
    def traded(self) -> tuple[SecondObjective, ...]:
        """What the objective may be traded for, in the order of the study."""
        return tuple(SecondObjective(name, self.recipe.eval) for name in self.second_objectives)

    def judged(self, metrics: Mapping[str, float], last: bool) -> tuple[float, dict[str, float]]:
        """Return what is minimised, given a rung's metrics, and at the last rung the second objectives by name."""
        return self.minimised.of(metrics, last), measured(self.traded, metrics) if last else {}
