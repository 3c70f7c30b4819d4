"""A setting of the Dispersive Loss, and the facts about its variants."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import Field, field_validator, model_validator

from trainer.recipe.frozen import Frozen, Share
from trainer.recipe.identity import Later

Variant = Literal["l2", "cosine", "hinge", "covariance"]
TauUnits = Literal["absolute", "relative", "median"]
Distance = Literal["mean", "sum"]
Features = Literal["raw", "layer_norm"]
MOST_SAMPLES = 65536  # that one is compared with
LocalBatch = Annotated[int, Field(ge=2, le=MOST_SAMPLES)] | Literal["all"]
Negatives = Annotated[int, Field(ge=1, le=MOST_SAMPLES)] | Literal["batch"]


Bank = tuple[int, int]  # the entries of a memory bank, and of how many blocks


class VariantFacts(NamedTuple):
    """What a variant of the Dispersive Loss has and lacks; its formula and bounds are in `trainer.regularisers`.

    `formula` is incremented when the formula changes: figures of two formulas cannot be compared. `tau` is the unit of
    tau, None without a tau, in which case no pairs of samples are compared either. `units` are the possible tau_units.
    """

    formula: int
    tau: Literal["squared distance", "cosine"] | None
    units: tuple[TauUnits, ...] = ("absolute",)

    @property
    def has_distance(self) -> bool:
        """Whether the variant compares squared distances, which may be divided by their number of elements or not."""
        return self.tau == "squared distance"

    @property
    def has_negatives(self) -> bool:
        """Whether the variant compares pairs of samples, so that a memory bank can add to them."""
        return self.tau is not None


VARIANTS: Mapping[Variant, VariantFacts] = {
    "l2": VariantFacts(formula=1, tau="squared distance", units=("absolute", "relative", "median")),
    "cosine": VariantFacts(formula=1, tau="cosine"),
    "hinge": VariantFacts(formula=1, tau="squared distance"),
    # Formula 1, until 2026-11-26, was of raw features, which contracts the batch.
    "covariance": VariantFacts(formula=2, tau=None),
}


class Dispersion(Frozen):
    """One setting of the Dispersive Loss (Wang & He 2025, arXiv:2506.09027)."""

    blocks: tuple[int, ...] = Field((0,), description="0-based transformer blocks; the loss is their mean")
    lam: float = Field(0.0, ge=0, le=1e6, description="weight of the loss; 0 is the baseline")
    tau: float = Field(
        1.0, ge=1e-6, le=1e6, description="temperature; the margin epsilon of 'hinge'; unused by 'covariance'"
    )
    variant: Variant = Field(
        "l2", description="'covariance': mean squared correlation of two features, normalised over the batch"
    )
    tau_units: TauUnits = Field(
        "absolute",
        description="'relative', 'median': tau in units of the batch's mean or median distance, gradient included",
    )
    local_batch: Annotated[LocalBatch, Later()] = Field(
        "all", description="how many samples of a batch are compared with one another, as on a device of its own"
    )
    distance: Annotated[Distance, Later()] = Field(
        "mean", description="squared distance over elements: their mean, or their sum as the printed algorithm has it"
    )
    features: Annotated[Features, Later()] = Field(
        "raw", description="'layer_norm': every token is normalised over its width, without weights, before the loss"
    )
    negatives: Annotated[Negatives, Later()] = Field(
        "batch", description="how many representations of earlier steps a sample is compared with beside its batch"
    )
    lam_warmup: Annotated[Share, Later()] = Field(
        0.0, description="share of the steps over which the weight rises linearly from 0"
    )
    lam_end: Annotated[Share, Later()] = Field(1.0, description="share of the steps after which the weight is 0")

    @field_validator("blocks")
    @classmethod
    def _in_order(cls, blocks: tuple[int, ...]) -> tuple[int, ...]:
        # One setting has one spelling, and so one name.
        return tuple(sorted(blocks))

    @model_validator(mode="after")
    def _blocks_and_units(self) -> Self:
        if not self.blocks or len(set(self.blocks)) != len(self.blocks) or min(self.blocks) < 0:
            raise ValueError(f"blocks must be distinct indices >= 0, not {self.blocks}")
        if reason := contradiction(self):
            raise ValueError(reason)
        return self

    @property
    def has_tau(self) -> bool:
        """Whether the variant has a temperature or margin at all."""
        return VARIANTS[self.variant].tau is not None

    @property
    def bank(self) -> Bank | None:
        """Size of the memory bank, in entries and blocks, None without one; lanes of one cohort have the same."""
        return None if self.negatives == "batch" else (self.negatives, len(self.blocks))

    def active_steps(self, step: int, steps: int) -> int:
        """Return at how many of the first `step` of `steps` optimiser steps the weight is above 0."""
        if self.lam == 0:
            return 0
        return sum(bool(self.lam_end > at / steps and (at or not self.lam_warmup)) for at in range(step))


def contradiction(setting: Dispersion) -> str | None:
    """Return which two fields of a setting contradict one another, in words; None where none do."""
    facts = VARIANTS[setting.variant]
    if setting.tau_units not in facts.units:
        known = variants_with(setting.tau_units)
        return f"tau_units {setting.tau_units!r} is defined for {known}, not {setting.variant!r}"
    if setting.distance != "mean" and not facts.has_distance:
        return f"distance {setting.distance!r} needs a squared distance, which {setting.variant!r} does not have"
    if setting.distance != "mean" and setting.tau_units != "absolute":
        return f"distance {setting.distance!r} changes nothing where tau_units is {setting.tau_units!r}: leave it out"
    if setting.negatives != "batch" and not facts.has_negatives:
        return f"negatives {setting.negatives} need pairs of samples, which {setting.variant!r} does not compare"
    if setting.negatives != "batch" and setting.local_batch != "all":
        return f"negatives {setting.negatives} go with local_batch 'all': a memory bank adds to the whole batch"
    if setting.lam_warmup >= setting.lam_end:
        return f"lambda_warmup {setting.lam_warmup:g} must be below lambda_end {setting.lam_end:g}"
    return None


def variants_with(units: TauUnits) -> str:
    """Name the variants whose tau may be in these units: "variant 'l2'"."""
    return "variant " + " or ".join(repr(name) for name, facts in VARIANTS.items() if units in facts.units)
