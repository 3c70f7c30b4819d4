"""The network and its size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self, get_args

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from trainer.recipe.frozen import Frozen, Scalar
from trainer.recipe.identity import Later
from trainer.recipe.kinds import one_of, tag_of

# SiT sizes: Ma et al. 2024, arXiv:2401.08740, table 1 (as DiT's); M is MeanFlow's (Geng et al. 2025,
# arXiv:2505.13447); the compact ones are tuned here.
Preset = Literal["compact", "mnist-compact", "S", "B", "M", "L", "XL"]
PRESETS: Mapping[Preset, Mapping[str, int]] = {
    "compact": {"width": 48, "depth": 4, "heads": 4, "patch": 2},
    "mnist-compact": {"width": 192, "depth": 12, "heads": 3, "patch": 4},
    "S": {"width": 384, "depth": 12, "heads": 6, "patch": 2},
    "B": {"width": 768, "depth": 12, "heads": 12, "patch": 2},
    "M": {"width": 1024, "depth": 16, "heads": 16, "patch": 2},
    "L": {"width": 1024, "depth": 24, "heads": 16, "patch": 2},
    "XL": {"width": 1152, "depth": 28, "heads": 16, "patch": 2},
}

BackboneKind = Literal["sit", "unet", "uvit", "module"]
Gelu = Literal["exact", "tanh"]
GELU_WORDS: Mapping[Gelu, str] = {"exact": "", "tanh": ", GELU by tanh"}  # the exact one goes without saying
Tap = Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*$")]


def numbered(depth: int) -> tuple[str, ...]:
    """Return the names of taps that are only numbered."""
    return tuple(str(block) for block in range(depth))


def _hidden_units(width: int, mlp_ratio: float) -> int:
    """Return the hidden units of a transformer block's MLP."""
    return round(width * mlp_ratio)


def _check_blocks(width: int, heads: int, mlp_ratio: float, multiple_of: int = 1) -> None:
    """Raise ValueError for a width that its heads or `multiple_of` do not divide, or for an MLP without a unit."""
    if width % multiple_of or width % heads:
        factor = "" if multiple_of == 1 else f"{multiple_of} and by "
        raise ValueError(f"width {width} must be divisible by {factor}heads {heads}")
    if _hidden_units(width, mlp_ratio) < 1:
        raise ValueError(f"mlp_ratio {mlp_ratio} leaves no hidden unit at width {width}")


class SiTRecipe(Frozen):
    """The transformer's size; a preset fills what is not given."""

    kind: Annotated[Literal["sit"], Later()] = "sit"
    preset: Preset = "compact"
    width: int = Field(48, ge=8, le=8192)
    depth: int = Field(4, ge=1, le=256, description="number of blocks")
    heads: int = Field(4, ge=1, le=128)
    patch: int = Field(2, ge=1, le=64, description="side of a patch in pixels")
    mlp_ratio: float = Field(4.0, gt=0, le=16)
    gelu: Annotated[Gelu, Later()] = Field(
        "exact", description="tanh: the approximation that the public DiT and SiT use, at most 5e-4 away"
    )
    stream_scale: Annotated[float, Later()] = Field(
        1.0, gt=0, le=1e3, description="factor of the first block's input tokens; above 1 the residual stream is larger"
    )
    init: Annotated[str | None, Later()] = Field(
        None, min_length=1, description="start from these weights: a kept file of ours, or a published SiT checkpoint"
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_from_preset(cls, tree: object) -> object:
        if not isinstance(tree, Mapping):
            return tree
        preset = tree.get("preset", "compact")
        sizes = next((sizes for name, sizes in PRESETS.items() if name == preset), {})
        return {**sizes, **tree}

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        _check_blocks(self.width, self.heads, self.mlp_ratio, multiple_of=4)
        return self

    @property
    def hidden(self) -> int:
        """Hidden units of a block's MLP."""
        return _hidden_units(self.width, self.mlp_ratio)

    @property
    def taps(self) -> tuple[str, ...]:
        """Where representations are taken: after each block."""
        return numbered(self.depth)

    @property
    def words(self) -> str:
        """The network in a line."""
        stream = "" if self.stream_scale == 1 else f", residual stream times {self.stream_scale:g}"
        gelu = GELU_WORDS[self.gelu]
        return f"SiT, width {self.width}, depth {self.depth}, {self.heads} heads, patch {self.patch}{gelu}{stream}"

    @property
    def title(self) -> str:
        """The network in a few words."""
        return f"SiT width {self.width} depth {self.depth}"


class UNetRecipe(Frozen):
    """The size of a convolutional U-Net with one residual block a level and way."""

    kind: Literal["unet"]
    width: int = Field(32, ge=8, le=2048, multiple_of=8, description="channels at full resolution; twice a level down")
    levels: int = Field(2, ge=1, le=6, description="resolutions; each is half the one above")
    init: str | None = Field(None, min_length=1, description="start from these weights: a kept file of ours")

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels at each level."""
        return tuple(self.width * 2**level for level in range(self.levels))

    @property
    def embedding(self) -> int:
        """Width of the embedding of time and label."""
        return 4 * self.width

    @property
    def taps(self) -> tuple[str, ...]:
        """Where representations are taken: after each block, in the order they are computed."""
        levels = range(self.levels)
        return (*(f"down.{i}" for i in levels), "mid", *(f"up.{i}" for i in reversed(levels)))

    @property
    def words(self) -> str:
        """The network in a line."""
        return f"U-Net, width {self.width}, {self.levels} levels"

    @property
    def title(self) -> str:
        """The network in a few words."""
        return f"U-Net width {self.width} levels {self.levels}"


class UViTRecipe(Frozen):
    """The size of a U-ViT (Bao et al. 2023, arXiv:2209.12152): blocks before and after a middle one, and skips."""

    kind: Literal["uvit"]
    width: int = Field(48, ge=8, le=8192)
    depth: int = Field(5, ge=1, le=255, description="number of blocks, odd; the published S and M have 13 and 17")
    heads: int = Field(4, ge=1, le=128)
    patch: int = Field(2, ge=1, le=64, description="side of a patch in pixels")
    mlp_ratio: float = Field(4.0, gt=0, le=16)
    final_conv: bool = Field(True, description="a 3x3 convolution after the last layer")
    init: str | None = Field(None, min_length=1, description="start from these weights: a kept file of ours")

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        if self.depth % 2 == 0:
            raise ValueError(f"depth must be odd, not {self.depth}: as many blocks before the middle one as after it")
        _check_blocks(self.width, self.heads, self.mlp_ratio)
        return self

    @property
    def middle(self) -> int:
        """The block that no skip connection begins or ends at."""
        return self.depth // 2

    @property
    def hidden(self) -> int:
        """Hidden units of a block's MLP."""
        return _hidden_units(self.width, self.mlp_ratio)

    @property
    def taps(self) -> tuple[str, ...]:
        """Where representations are taken: after each block."""
        return numbered(self.depth)

    @property
    def words(self) -> str:
        """The network in a line."""
        sizes = f"width {self.width}, depth {self.depth}, {self.heads} heads, patch {self.patch}"
        last = "" if self.final_conv else ", no final convolution"
        return f"U-ViT, {sizes}, MLP ratio {self.mlp_ratio:g}{last}"

    @property
    def title(self) -> str:
        """The network in a few words."""
        return f"U-ViT width {self.width} depth {self.depth}"


class ModuleRecipe(Frozen):
    """A torch module of the user's own, and the places in it whose outputs are taps."""

    kind: Literal["module"]
    factory: str = Field(
        pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$",
        description="module:function; called with shape=(C, H, W), classes=N and the arguments, it returns the module",
    )
    path: str = Field(".", min_length=1, description="folder from which its code is imported")
    arguments: dict[str, Scalar] = Field({}, description="further arguments of the function")
    taps: Annotated[tuple[Tap, ...], Field(min_length=1)] = Field(description="names of sub-modules, in order")
    init: str | None = Field(None, min_length=1, description="start from these weights: a kept file of ours")

    @model_validator(mode="after")
    def _taps_differ(self) -> Self:
        if len({*self.taps}) != len(self.taps):
            raise ValueError(f"taps must differ, not {list(self.taps)}")
        return self

    @property
    def words(self) -> str:
        """The network in a line."""
        arguments = ", ".join(f"{name} {value}" for name, value in self.arguments.items())
        return f"{self.factory}{f' ({arguments})' if arguments else ''}"

    @property
    def title(self) -> str:
        """The network in a few words."""
        return self.factory


BackboneRecipe = Annotated[
    Annotated[SiTRecipe, Tag("<sit>")]
    | Annotated[UNetRecipe, Tag("<unet>")]
    | Annotated[UViTRecipe, Tag("<uvit>")]
    | Annotated[ModuleRecipe, Tag("<module>")],
    Discriminator(tag_of("sit")),
    BeforeValidator(one_of(get_args(BackboneKind))),
]
