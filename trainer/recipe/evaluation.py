"""How samples are drawn and scored, and the names of their figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from trainer.recipe.frozen import Frozen
from trainer.recipe.identity import Later
from trainer.recipe.metrics import METRICS

MAX_SAMPLES = 1_000_000
FULL_SAMPLES = 50_000  # what published FIDs are of


def fid_name(samples: int) -> str:
    """Return the name of the FID of so many samples: 10000 -> 'fid_10k'."""
    return METRICS["fid"].recorded(samples)


Share = Annotated[float, Field(ge=0, le=1)]
Solver = Literal["euler", "heun", "euler_maruyama", "ddim", "ancestral"]
EVALUATIONS_A_STEP: Mapping[Solver, int] = {"euler": 1, "heun": 2, "euler_maruyama": 1, "ddim": 1, "ancestral": 1}
GUIDED_BY_PUBLIC_CODE = 3  # DiT and SiT guide these channels of a latent's four, "for exact reproducibility"


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
    solver: Solver = Field("euler", description="the first that suits the objective, if not given")
    nfe: int = Field(10, ge=1, le=1000, description="network evaluations a sample (CFG doubles their cost)")
    cfg: float = Field(1.0, ge=0, le=100, description="classifier-free guidance scale; 1 is none")
    cfg_interval: Annotated[tuple[Share, Share], Later()] = Field(
        (0.0, 1.0), description="part of the way from noise (0) to data (1) on which samples are guided"
    )
    cfg_channels: Annotated[Literal["all", "public"], Later()] = Field(
        "all", description="guided channels; public: the first three alone, as the public DiT and SiT guide latents"
    )
    extractor: Literal["domain", "inception", "clip", "dinov2"] = "domain"
    weights: str | None = Field(None, min_length=1, description="weight file of inception, clip or dinov2")
    decoder: Annotated[str | None, Later()] = Field(
        None, min_length=1, description="folder of a diffusers AutoencoderKL that decodes latents before the extractor"
    )
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
        if self.nfe % (each := EVALUATIONS_A_STEP[self.solver]):
            said = f"{self.solver} evaluates the network {each} times a step: nfe must be a multiple of {each}"
            raise ValueError(f"{said}, not {self.nfe}")
        if self.cfg_interval[0] >= self.cfg_interval[1]:
            raise ValueError(f"cfg_interval must rise, not {list(self.cfg_interval)}")
        if (self.extractor == "domain") != (self.weights is None):
            raise ValueError("weights is needed for inception, clip and dinov2, and not for 'domain'")
        if self.extractor == "domain" and self.decoder is not None:
            raise ValueError("decoder is for inception, clip and dinov2: 'domain' looks at latents themselves")
        return self

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
