"""`encode`: latents of images, for studies to train on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sweeper.cli.arguments import at_home
from sweeper.cli.terminal import say, tell


def encode(
    folder: Annotated[
        Path,
        typer.Argument(metavar="FOLDER", help="Sub-folders of images.", callback=at_home, show_default=False),
    ],
    output: Annotated[
        Path,
        typer.Argument(
            metavar="OUT", help="An .npy file; labels are written beside it.", callback=at_home, show_default=False
        ),
    ],
    autoencoder: Annotated[
        Path,
        typer.Option(
            "--autoencoder", help="Folder of a diffusers AutoencoderKL.", callback=at_home, show_default=False
        ),
    ],
    size: Annotated[int, typer.Option("--size", min=8, max=1024, help="Side of the images in pixels.")] = 256,
    batch: Annotated[int, typer.Option("--batch", min=1, max=4096, help="Images at a time.")] = 8,
) -> None:
    """Encode a folder's images to latents. It prints what a study's file has to say of them."""
    from sweeper.commands.encode import encode as write

    said = [0]

    def progress(done: int, wanted: int) -> None:
        if 10 * done // wanted > said[0]:
            said[0] = 10 * done // wanted
            say(f"{done:,} of {wanted:,} images")

    made = write(folder, output, autoencoder, size, batch, progress)
    tell(made.data)
