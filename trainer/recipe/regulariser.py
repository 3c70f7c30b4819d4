"""A setting of the Dispersive Loss, and what its variants have and lack."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import Field, field_validator, model_validator

from trainer.recipe.frozen import Frozen
from trainer.recipe.identity import Later

Variant = Literal["l2", "cosine", "hinge", "covariance"]
TauUnits = Literal["absolute", "relative"]
LocalBatch = Annotated[int, Field(ge=2, le=65536)] | Literal["all"]


class VariantFacts(NamedTuple):
    """What a variant of the Dispersive Loss has and lacks; its formula and bounds are in `trainer.regularisers`.

    `formula` is counted up when that changes: figures of two formulas cannot be compared. `tau` says what its tau is,
    None where it has none; with `relative` tau may be given in units of the batch's mean distance.
    """

    formula: int
    tau: Literal["squared distance", "cosine"] | None
    relative: bool = False


VARIANTS: Mapping[Variant, VariantFacts] = {
    "l2": VariantFacts(formula=1, tau="squared distance", relative=True),
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
    tau_units: TauUnits = Field("absolute", description="'relative': tau in units of the batch's mean distance")
    local_batch: Annotated[LocalBatch, Later()] = Field(
        "all", description="how many samples of a batch are compared with one another, as on a device of its own"
    )

    @field_validator("blocks")
    @classmethod
    def _in_order(cls, blocks: tuple[int, ...]) -> tuple[int, ...]:
        # One setting has one spelling, and so one name.
        return tuple(sorted(blocks))

    @model_validator(mode="after")
    def _blocks_and_units(self) -> Self:
        if not self.blocks or len(set(self.blocks)) != len(self.blocks) or min(self.blocks) < 0:
            raise ValueError(f"blocks must be distinct indices >= 0, not {self.blocks}")
        if self.tau_units == "relative" and not VARIANTS[self.variant].relative:
            raise ValueError(f"tau_units 'relative' is defined for {relative_variants()}, not {self.variant!r}")
        return self

    @property
    def has_tau(self) -> bool:
        """Whether the variant has a temperature or margin at all."""
        return VARIANTS[self.variant].tau is not None


def relative_variants() -> str:
    """Name the variants whose tau may be relative: "variant 'l2'"."""
    return "variant " + " or ".join(repr(name) for name, facts in VARIANTS.items() if facts.relative)
