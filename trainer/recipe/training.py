"""How long and how fast a network is trained."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from trainer.recipe.auxiliary_losses import ActivationNorm, AuxiliaryLoss, Contrastive, Repa
from trainer.recipe.blocks import SingleBlock
from trainer.recipe.frozen import Frozen
from trainer.recipe.identity import Later

Schedule = Literal["cosine", "constant"]
Precision = Literal["fp32", "bf16"]


class LaterBlocks(Frozen):
    """A learning rate of their own for one block and all after it, what modulates them included."""

    block: SingleBlock = Field(0.5, description="the first of them: index, fraction of the depth, or a tap's name")
    rate: float = Field(ge=0, le=1e3, description="factor of their learning rate; 0 leaves them untrained")

    @field_validator("rate")
    @classmethod
    def _is_another(cls, rate: float) -> float:
        if rate == 1:
            raise ValueError("must not be 1, the rate that all blocks have without it")
        return rate


class TrainRecipe(Frozen):
    """How long and how fast: AdamW with warm-up and a schedule, and an exponential moving average."""

    steps: int = Field(800, ge=1, le=10_000_000, description="optimiser steps")
    batch: int = Field(32, ge=1, le=65536, description="images a step and lane; Dispersive Loss is 0 at batch 1")
    lr: float = Field(8e-3, gt=0, le=1)
    warmup: int = Field(50, ge=0, le=1_000_000_000, description="steps of linear warm-up; at most half of all")
    beta1: float = Field(0.9, ge=0, lt=1)
    beta2: float = Field(0.99, ge=0, lt=1)
    weight_decay: float = Field(0.0, ge=0, le=1e3, description="AdamW's decoupled decay, on every parameter")
    ema: float = Field(0.99, ge=0, lt=1, description="final decay; ramped as (1 + step) / (10 + step)")
    label_drop: float = Field(0.1, ge=0, le=1, description="share of labels replaced by 'no class' (for CFG)")
    time_scale: float = Field(
        1000.0,
        gt=0,
        le=1e6,
        description="t is multiplied by this before its sinusoidal embedding; what suits the objective, if not given",
    )
    schedule: Annotated[Schedule, Later()] = Field("cosine", description="the learning rate after warm-up")
    clip: Annotated[float | None, Later()] = Field(
        None, gt=0, le=1e6, description="largest norm of a lane's gradient; above it the gradient is scaled down"
    )
    later_blocks: Annotated[LaterBlocks | None, Later()] = Field(
        None, description="another learning rate for a model's later blocks"
    )
    precision: Precision = Field("fp32", description="matmul precision; master weights stay fp32")
    repa: Annotated[Repa | None, Later()] = Field(None, description="REPA, in every trial of this recipe")
    contrastive: Annotated[Contrastive | None, Later()] = Field(
        None, description="a contrastive loss, in every trial of this recipe"
    )
    activation_norm: Annotated[ActivationNorm | None, Later()] = Field(
        None, description="a penalty on the size of a block's representation, in every trial of this recipe"
    )

    @property
    def auxiliary_losses(self) -> dict[str, AuxiliaryLoss]:
        """The losses that are added in every trial, by their fields' names."""
        return {name: part for name, part in self if isinstance(part, AuxiliaryLoss)}

    @property
    def with_a_block(self) -> dict[str, AuxiliaryLoss | LaterBlocks]:
        """The parts that refer to one block of the model, by their fields' names."""
        return self.auxiliary_losses | ({"later_blocks": self.later_blocks} if self.later_blocks else {})
