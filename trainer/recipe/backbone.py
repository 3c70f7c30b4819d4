"""Which network, and of which size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from trainer.recipe.frozen import Frozen
from trainer.recipe.identity import Later

# SiT sizes: Ma et al. 2024, arXiv:2401.08740, table 1 (as DiT's); the compact ones are tuned here.
PRESETS: dict[str, dict[str, int]] = {
    "compact": {"width": 48, "depth": 4, "heads": 4, "patch": 2},
    "mnist-compact": {"width": 192, "depth": 12, "heads": 3, "patch": 4},
    "S": {"width": 384, "depth": 12, "heads": 6, "patch": 2},
    "B": {"width": 768, "depth": 12, "heads": 12, "patch": 2},
    "L": {"width": 1024, "depth": 24, "heads": 16, "patch": 2},
    "XL": {"width": 1152, "depth": 28, "heads": 16, "patch": 2},
}


class ModelRecipe(Frozen):
    """The transformer's size; a preset fills what is not given."""

    preset: Literal["compact", "mnist-compact", "S", "B", "L", "XL"] = "compact"
    width: int = Field(48, ge=8, le=8192)
    depth: int = Field(4, ge=1, le=256, description="number of blocks")
    heads: int = Field(4, ge=1, le=128)
    patch: int = Field(2, ge=1, le=64, description="side of a patch in pixels")
    mlp_ratio: float = Field(4.0, gt=0, le=16)
    init: Annotated[str | None, Later()] = Field(
        None, min_length=1, description="start from these weights: a kept file of ours, or a published SiT checkpoint"
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_from_preset(cls, given: object) -> object:
        if not isinstance(given, Mapping):
            return given
        preset = given.get("preset", "compact")
        return {**PRESETS.get(preset, {}), **given} if isinstance(preset, str) else given

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        if self.width % 4 or self.width % self.heads:
            raise ValueError(f"width {self.width} must be divisible by 4 and by heads {self.heads}")
        if self.hidden < 1:
            raise ValueError(f"mlp_ratio {self.mlp_ratio} leaves no hidden unit at width {self.width}")
        return self

    @property
    def hidden(self) -> int:
        """Hidden units of a block's MLP."""
        return round(self.width * self.mlp_ratio)
