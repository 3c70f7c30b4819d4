"""How samples are drawn and scored, and the names of their figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self, assert_never

from pydantic import Field, field_validator, model_validator

from trainer.recipe.frozen import Frozen, Share
from trainer.recipe.identity import Later
from trainer.recipe.metrics import DISTANCES, METRICS, ExtractorName, MetricName, OptionalMetric

MAX_SAMPLES = 1_000_000
FULL_SAMPLES = 50_000  # what published FIDs are of


def fid_name(samples: int) -> str:
    """Return the name of the FID of so many samples: 10000 -> 'fid_10k'."""
    return METRICS["fid"].recorded(samples)


def probe_name(kind: str, level: float, tap: int) -> str:
    """Return the name of what a probe measures at a noise level of a tap: 'linear_probe_t75.block_2'."""
    return f"{kind}_t{round(100 * level)}.block_{tap}"


PartOfSteps = Annotated[float, Field(gt=0, le=1)]
Scale = Annotated[float, Field(ge=0, le=100)]
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
    cfg_curve: Annotated[tuple[Scale, ...], Later()] = Field(
        (), description="guidance scales at which trials of the confirm stage are measured too, without training again"
    )
    cfg_samples: Annotated[int | None, Later()] = Field(
        None, ge=2, le=MAX_SAMPLES, description="samples at each scale; rung_samples, if not given"
    )
    cfg_rungs: Annotated[tuple[PartOfSteps, ...], Later()] = Field(
        (1.0,),
        min_length=1,
        max_length=9,
        description="where these trials are measured at all those scales, as shares of train.steps; the last is 1",
    )
    extractor: ExtractorName = "domain"
    weights: str | None = Field(None, min_length=1, description="weight file of inception, clip or dinov2")
    decoder: Annotated[str | None, Later()] = Field(
        None, min_length=1, description="folder of a diffusers AutoencoderKL that decodes latents before the extractor"
    )
    probe: int = Field(256, ge=2, le=65536, description="held-out images on which health is measured")
    metrics: Annotated[tuple[OptionalMetric, ...], Later()] = Field(
        (), description="what is measured of samples at the last rung beside what always is"
    )
    reference: Annotated[str | None, Later()] = Field(
        None, min_length=1, description="ADM's npz of reference statistics, for inception; else the training split"
    )

    linear_probe: Annotated[Literal["none", "last rung", "every rung"], Later()] = Field(
        "none", description="when a linear probe and k nearest neighbours classify held-out images by frozen tokens"
    )
    probe_levels: Annotated[tuple[Share, ...], Later()] = Field(
        (0.5, 0.75, 0.95),
        min_length=1,
        max_length=9,
        description="noise levels it looks at: 0 is noise, 1 is data",
    )

    compile: Annotated[Literal["auto", "on", "off"], Later()] = Field(
        "auto",
        description="draw samples by compiled code, which takes a C++ compiler; auto: where a study saves more time "
        "than that takes, chosen before its first trial and then held",
    )
    precision: Annotated[Literal["auto", "fp32", "bf16"], Later()] = Field(
        "auto",
        description="what a SiT's blocks compute in while samples are drawn on a CPU; auto: bf16 where samples are by "
        "compiled code and that is faster so, chosen before the first trial and then held",
    )

    @field_validator("probe_levels")
    @classmethod
    def _levels_have_names_of_their_own(cls, levels: tuple[float, ...]) -> tuple[float, ...]:
        if len({probe_name("", level, 0) for level in levels}) < len(levels):
            raise ValueError(f"must be at least .01 apart, not {', '.join(map(str, levels))}")
        return levels

    @field_validator("full_samples", mode="before")
    @classmethod
    def _auto_none_or_samples(cls, value: object) -> object:
        is_count = isinstance(value, int) and not isinstance(value, bool) and 2 < value <= MAX_SAMPLES
        if not is_count and value not in ("auto", "none"):
            raise ValueError(f"must be 'auto', 'none' or a number of samples from 3 to {MAX_SAMPLES}")
        return value

    @model_validator(mode="after")
    def _counts_rise(self) -> Self:
        if isinstance(self.full_samples, int) and self.full_samples <= self.samples:
            raise ValueError(f"full_samples {self.full_samples} must be above samples {self.samples}")
        if self.rung_samples is not None and self.rung_samples > self.samples:
            raise ValueError(f"rung_samples {self.rung_samples} must not be above samples {self.samples}")
        return self

    @model_validator(mode="after")
    def _guidance_and_weights(self) -> Self:
        if self.cfg_interval[0] >= self.cfg_interval[1]:
            raise ValueError(f"cfg_interval must rise, not {list(self.cfg_interval)}")
        if list(self.cfg_curve) != sorted(set(self.cfg_curve)):
            raise ValueError(f"cfg_curve must rise, not {list(self.cfg_curve)}")
        if list(self.cfg_rungs) != sorted(set(self.cfg_rungs)) or self.cfg_rungs[-1] != 1:
            raise ValueError(f"cfg_rungs must rise and end at 1, not {list(self.cfg_rungs)}")
        if len({self.at_scale("fid", scale) for scale in self.cfg_curve}) < len(self.cfg_curve):
            raise ValueError(f"cfg_curve must differ within six digits, not {list(self.cfg_curve)}")
        if (self.extractor == "domain") != (self.weights is None):
            raise ValueError("weights is needed for inception, clip and dinov2, and not for 'domain'")
        if self.extractor == "domain" and self.decoder is not None:
            raise ValueError("decoder is for inception, clip and dinov2: 'domain' looks at latents themselves")
        return self

    @model_validator(mode="after")
    def _extractor_has_what_is_asked_for(self) -> Self:
        for name in self.metrics:
            if self.extractor not in (fit := METRICS[name].through):
                raise ValueError(
                    f"metrics has {name}, which needs extractor {' or '.join(fit)}, not {self.extractor!r}"
                )
        if self.reference is not None and self.extractor != "inception":
            raise ValueError(
                f"reference holds Inception's statistics; extractor must be inception, not {self.extractor!r}"
            )
        return self

    def measures(self, name: str) -> bool:
        """Return whether a metric exists for the extractor and is wanted, at the rungs it belongs to."""
        metric = METRICS[name]
        return self.extractor in (metric.through or (self.extractor,)) and (not metric.optional or name in self.metrics)

    def probes(self, last: bool) -> bool:
        """Return whether representations are probed at the last rung, or at one before it."""
        match self.linear_probe:
            case "none":
                return False
            case "last rung":
                return last
            case "every rung":
                return True
            case _:
                assert_never(self.linear_probe)

    @property
    def distance(self) -> str:
        """What readers know the FID as, without its sample count: 'FID', or 'FD-DINOv2'."""
        return DISTANCES.get(self.extractor, METRICS["fid"].words)

    def samples_at(self, last: bool) -> int:
        """Return the samples drawn at the last rung, or at one before it, which only decides who goes on."""
        return self.samples if last or self.rung_samples is None else self.rung_samples

    def recorded(self, metric: MetricName, last: bool = True) -> str:
        """Return a metric's name at the last rung or at one before it: 'fid_10k' there, and 'fid_2500' before."""
        return METRICS[metric].recorded(self.samples_at(last))

    @property
    def curve_samples(self) -> int:
        """The samples that are drawn at each scale of the guidance curve."""
        return self.samples_at(last=False) if self.cfg_samples is None else self.cfg_samples

    def at_scale(self, metric: MetricName, scale: float) -> str:
        """Return the name of a metric on the guidance curve: 'fid_2500.cfg_1.5'."""
        return f"{METRICS[metric].recorded(self.curve_samples)}.cfg_{scale:g}"

    def passes(self, scale: float) -> float:
        """Return how often a sample at a scale of guidance evaluates the network, in passes a solver's evaluation.

        Guidance doubles them on the part of the way where it acts; steps are taken to be even along it.
        """
        first, last = self.cfg_interval
        return 1 + (last - first if scale != 1 else 0)

    @property
    def second_fid(self) -> str:
        """Name of the FID on a second, independent sampling of the same weights, e.g. 'fid_10k_second'."""
        return f"{self.recorded('fid')}_second"

    def full_count(self, device_type: str) -> int | None:
        """Return the samples of the full metric on a kind of device ('cuda', 'cpu'), or None for never.

        'auto' is none on a CPU, where it would cost more than the training, and where the proxy is no smaller.
        """
        match self.full_samples:
            case "auto":
                return FULL_SAMPLES if device_type == "cuda" and self.samples < FULL_SAMPLES else None
            case "none":
                return None
            case int() as count:
                return count
            case _:
                assert_never(self.full_samples)

    def full_fid(self, device_type: str) -> str | None:
        """Return the full metric's name on a kind of device, e.g. 'fid_50k', or None where there is none."""
        count = self.full_count(device_type)
        return None if count is None else fid_name(count)
