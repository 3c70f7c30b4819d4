"""The training objective, with its distribution of times: SiT's interpolants, DiT's diffusion, MeanFlow, EDM."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, NamedTuple, Self, assert_never, get_args

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from trainer.recipe.evaluation import Solver
from trainer.recipe.frozen import Frozen
from trainer.recipe.identity import Later
from trainer.recipe.kinds import one_of, tag_of

Path = Literal["linear", "gvp"]
Predicts = Literal["velocity", "noise", "score"]
Times = Literal["uniform", "logit_normal"]
NoiseSchedule = Literal["linear", "cosine"]
ObjectiveKind = Literal["interpolant", "diffusion", "mean_flow", "edm"]
PATH_WORDS: Mapping[Path, str] = {"linear": "", "gvp": "GVP path"}  # the linear one goes without saying
LEAST_LINEAR_STEPS = 21  # with fewer, the last step's variance, 20 / steps, would be 1 or more


class Demands(NamedTuple):
    """What an objective requires of a network.

    It predicts `outputs` times the channels of an image: twice for a variance beside the noise. With `has_interval` it
    takes the end of an interval beside the time, and is differentiated forward.
    """

    outputs: int = 1
    has_interval: bool = False


class TrainedFor(NamedTuple):
    """What a network's weights depend on beside their shapes: fields of the objective, and the scale of its times.

    `fields` are beside their values in the public code's checkpoints, and `time_scale` is that code's.
    """

    fields: Mapping[str, object]
    time_scale: float


class _Objective(Frozen):
    # Evaluations of the network that a sample takes after its solver's steps.
    last_evaluations: ClassVar[int] = 0


class InterpolantRecipe(_Objective):
    """SiT (Ma et al. 2024, arXiv:2401.08740): a path from noise (t = 0) to data (t = 1), and what is predicted."""

    kind: Literal["interpolant"] = "interpolant"
    path: Path = Field("linear", description="linear: t data + (1 - t) noise; gvp: sine and cosine of pi t / 2")
    predicts: Predicts = Field("velocity", description="what the network learns to predict")
    times: Times = Field("uniform", description="training times; logit_normal: sigmoid of a normal number")
    time_mean: float = Field(0.0, ge=-20, le=20, description="mean of the normal number")
    time_std: float = Field(1.0, gt=0, le=20, description="standard deviation of the normal number")
    demands: ClassVar[Demands] = Demands()
    trained_for: ClassVar[TrainedFor] = TrainedFor({"predicts": "velocity", "path": "linear"}, time_scale=1)

    @property
    def words(self) -> str:
        """The objective in a line; empty for the default, the linear path's velocity at uniform times."""
        parts = [
            "" if self.predicts == "velocity" else f"{self.predicts} prediction",
            PATH_WORDS[self.path],
            time_words(self),
        ]
        return ", ".join(filter(None, parts))


class DiffusionRecipe(_Objective):
    """DiT (Peebles & Xie 2023, arXiv:2212.09748): noise prediction on a schedule of steps."""

    kind: Literal["diffusion"]
    steps: int = Field(1000, ge=2, le=100_000, description="steps of the noise schedule")
    schedule: NoiseSchedule = Field("linear", description="DDPM's, as DiT; cosine (Nichol & Dhariwal) for small images")
    learned_variance: bool = Field(True, description="learn the reverse step's variance too, by the hybrid loss")
    min_snr: Annotated[float | None, Later()] = Field(
        None,
        gt=0,
        le=1e6,
        description="gamma of min-SNR: steps whose signal is more than so many times their noise, in power, count less",
    )
    clip: bool = Field(False, description="keep the images a sampler expects in [-1, 1]: for pixels, not for latents")
    trained_for: ClassVar[TrainedFor] = TrainedFor({"steps": 1000}, time_scale=1000)  # DiT embeds the step

    @model_validator(mode="after")
    def _last_step_leaves_some_data(self) -> Self:
        if self.schedule == "linear" and self.steps < LEAST_LINEAR_STEPS:
            raise ValueError(f"steps must be at least {LEAST_LINEAR_STEPS} with schedule 'linear', not {self.steps}")
        return self

    @property
    def demands(self) -> Demands:
        """What it requires of a network."""
        return Demands(outputs=2 if self.learned_variance else 1)

    @property
    def words(self) -> str:
        """The objective in a line."""
        variance = "learned" if self.learned_variance else "fixed"
        weighted = f", loss weighted by min-SNR-{self.min_snr:g}" if self.min_snr is not None else ""
        clipped = ", sampled within [-1, 1]" if self.clip else ""
        how = f"variance {variance}{weighted}{clipped}"
        return f"noise prediction on a {self.schedule} schedule of {self.steps} steps, {how}"


class MeanFlowRecipe(_Objective):
    """MeanFlow (Geng et al. 2025, arXiv:2505.13447): the average velocity over an interval from r to t, 1 being noise.

    `omega` and `kappa` are of its equation 20: guidance inside training, of an effective scale omega / (1 - kappa).
    """

    kind: Literal["mean_flow"]
    instant_share: float = Field(0.75, ge=0, le=1, description="share of a batch whose interval is empty, r = t")
    times: Times = Field("logit_normal", description="of t and r; logit_normal: sigmoid of a normal number")
    time_mean: float = Field(-0.4, ge=-20, le=20, description="mean of the normal number")
    time_std: float = Field(1.0, gt=0, le=20, description="standard deviation of the normal number")
    power: float = Field(1.0, ge=0, le=4, description="p of the adaptive weight 1 / (squared error + offset)^p")
    offset: float = Field(0.01, gt=0, le=1e3, description="c of the adaptive weight")
    omega: float = Field(1.0, gt=0, le=100, description="weight of the true velocity; 1 with kappa 0 is no guidance")
    kappa: float = Field(0.0, ge=0, lt=1, description="weight of the network's own conditional velocity")
    demands: ClassVar[Demands] = Demands(has_interval=True)
    trained_for: ClassVar[TrainedFor] = TrainedFor({}, time_scale=1)

    @property
    def is_guided(self) -> bool:
        """Whether the velocity it learns is a guided one."""
        return self.omega != 1 or self.kappa != 0

    @property
    def words(self) -> str:
        """The objective in a line."""
        share = f"r = t for {100 * self.instant_share:g} %"
        guided = f"guided in training with omega {self.omega:g}, kappa {self.kappa:g}" if self.is_guided else ""
        weight = f"adaptive weight of power {self.power:g}"
        return ", ".join(filter(None, ("MeanFlow", share, time_words(self), weight, guided)))


class EdmRecipe(_Objective):
    """EDM (Karras et al. 2022, arXiv:2206.00364): a preconditioned denoiser at log-normal noise levels sigma."""

    kind: Literal["edm"]
    p_mean: float = Field(-1.2, ge=-10, le=10, description="P_mean, the mean of ln(sigma) in training")
    p_std: float = Field(1.2, gt=0, le=5, description="P_std, the standard deviation of ln(sigma) in training")
    sigma_data: float = Field(
        0.5, ge=1e-3, le=1e3, description="standard deviation of the data; 1 for latents that are standardised"
    )
    demands: ClassVar[Demands] = Demands()
    trained_for: ClassVar[TrainedFor] = TrainedFor({"sigma_data": 0.5}, time_scale=1)
    last_evaluations: ClassVar[int] = 1  # denoises what is left at the least sigma

    @property
    def words(self) -> str:
        """The objective in a line."""
        levels = f"log-normal sigma of mean {self.p_mean:g} and deviation {self.p_std:g}"
        return f"EDM, {levels}, sigma_data {self.sigma_data:g}"


def time_words(recipe: InterpolantRecipe | MeanFlowRecipe) -> str:
    """Describe the training times; uniform ones go without saying."""
    match recipe.times:
        case "uniform":
            return ""
        case "logit_normal":
            return f"logit-normal times of mean {recipe.time_mean:g} and deviation {recipe.time_std:g}"
        case _:
            assert_never(recipe.times)


# What each objective can be sampled with; where a recipe names none, it is the first.
SOLVERS: Mapping[ObjectiveKind, tuple[Solver, ...]] = {
    "interpolant": ("euler", "heun", "euler_maruyama"),
    "diffusion": ("ddim", "ancestral"),
    "mean_flow": ("euler",),
    "edm": ("euler", "heun"),
}

# The default scale of times for each. MeanFlow is differentiated with respect to time: at 1000 that derivative
# dominates its loss, and it does not learn. EDM's public code embeds c_noise itself.
TIME_SCALES: Mapping[ObjectiveKind, float] = {
    "interpolant": 1000.0,
    "diffusion": 1000.0,
    "mean_flow": 1.0,
    "edm": 1.0,
}

ObjectiveRecipe = Annotated[
    Annotated[InterpolantRecipe, Tag("<interpolant>")]
    | Annotated[DiffusionRecipe, Tag("<diffusion>")]
    | Annotated[MeanFlowRecipe, Tag("<mean_flow>")]
    | Annotated[EdmRecipe, Tag("<edm>")],
    Discriminator(tag_of("interpolant")),
    BeforeValidator(one_of(get_args(ObjectiveKind))),
]
