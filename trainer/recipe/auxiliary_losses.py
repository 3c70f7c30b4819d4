"""Losses that a recipe adds in all its lanes, beside the Dispersive Loss: REPA, a contrastive loss, a size penalty."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from trainer.recipe.blocks import SingleBlock
from trainer.recipe.frozen import Frozen

Encoder = Literal["local", "dinov2"]
ContrastiveDistance = Literal["l2", "cosine"]
ViewTimes = Literal["independent", "shared"]


class _Auxiliary(Frozen):
    # A dump must be readable by the model that wrote it, and only YAML's word `lambda` is.
    model_config = ConfigDict(serialize_by_alias=True)

    recorded: ClassVar[tuple[str, ...]]  # the names of the figures that its regulariser records

    block: SingleBlock = Field(0, description="index, fraction of the depth, or a tap's name")
    lam: float = Field(0.5, alias="lambda", gt=0, le=1e6, description="weight of the loss")


class Repa(_Auxiliary):
    """REPA (Yu et al. 2025, arXiv:2410.06940): a block learns to predict a frozen encoder's features.

    `hidden` is the public code's projector_dim, there 2048; its encoder_depth 8 is block 7.

        >>> Repa.model_validate({"block": 0.25, "lambda": 0.5}).encoder
        'local'
    """

    recorded = ("alignment_loss",)

    hidden: int = Field(256, ge=1, le=65536, description="units of the projector's two hidden layers")
    encoder: Encoder = Field(
        "local", description="local: a small convnet trained once on the training images; dinov2: from its weight file"
    )
    weights: str | None = Field(None, min_length=1, description="weight file of DINOv2")

    @model_validator(mode="after")
    def _weights_go_with_dinov2(self) -> Self:
        if (self.encoder == "dinov2") != (self.weights is not None):
            raise ValueError("weights is needed for encoder 'dinov2', and not for 'local'")
        return self


class Contrastive(_Auxiliary):
    """InfoNCE with positive pairs (SimCLR, Chen et al. 2020, arXiv:2002.05709): two noised views of an image.

    Wang & He 2025, arXiv:2506.09027, compare the Dispersive Loss with such a loss. With `times` 'shared' both views
    have one noise level, and the noise alone differs.
    """

    recorded = ("contrastive_loss",)

    tau: float = Field(0.5, ge=1e-6, le=1e6, description="temperature")
    distance: ContrastiveDistance = Field(
        "l2", description="l2: squared distance divided by the number of elements; cosine: minus the cosine"
    )
    times: ViewTimes = Field(
        "independent", description="whether the two views of an image have noise levels of their own"
    )


class ActivationNorm(_Auxiliary):
    """A penalty on a block's size, the mean square of its elements (activation regularisation, Merity et al. 2017).

    A plain control: does size alone explain what a loss on representations does?
    """

    recorded = ("activation_norm",)


# The types of the fields of `trainer.recipe.TrainRecipe` that add a loss.
AuxiliaryLoss = Repa | Contrastive | ActivationNorm
