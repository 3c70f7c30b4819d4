"""TensorBoard: a run a trial, its settings and last figures as hyperparameters, the guide as text and images."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from sweeper.errors import SetupError
from sweeper.sinks.protocol import PICTURES, Copy

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

UNFIT = re.compile(r"[^\w.,+=-]+")  # in the name of a folder


class TensorBoard:
    """Event files in `folder`, which is replaced: a second copy beside the first would draw every point twice."""

    def __init__(self, folder: Path) -> None:
        """Raise SetupError if TensorBoard is not installed or the folder holds anything that is not its own."""
        self._open = _writer()
        if folder.exists():
            foreign = [path for path in folder.rglob("*") if path.is_file() and "tfevents" not in path.name]
            if foreign:
                raise SetupError(f"{foreign[0]} is not TensorBoard's", "give a folder of its own with --output")
            shutil.rmtree(folder)
        self._folder = folder

    def trial(self, copy: Copy) -> None:
        """Write its metrics by step; settings and last metrics as hyperparameters, where it has any metrics."""
        with self._open(str(self._folder / copy.stage / _folder_name(copy.name))) as writer:
            for step, metrics in copy.rungs:
                for name, value in metrics.items():
                    writer.add_scalar(name, value, step)
            if copy.rungs:
                step, last = copy.rungs[-1]
                final = {f"last/{name}": value for name, value in last.items()}
                writer.add_hparams({**copy.settings, "state": copy.state}, final, run_name=".", global_step=step)

    def guide(self, folder: Path) -> None:
        """Write the guide as text, and its pictures."""
        with self._open(str(self._folder / "guide")) as writer:
            writer.add_text("guide", (folder / "guide.md").read_text(encoding="utf-8"))
            for name in PICTURES:
                if (folder / name).is_file():
                    pixels_HWC = np.asarray(Image.open(folder / name).convert("RGB"))
                    writer.add_image(name.removesuffix(".png"), pixels_HWC, dataformats="HWC")

    def close(self) -> str:
        """Return the command that shows it."""
        return f"tensorboard --logdir {self._folder}"


def _folder_name(name: str) -> str:
    return UNFIT.sub("_", name).strip("._")


def _writer() -> type[SummaryWriter]:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise SetupError("TensorBoard is not installed", f"{sys.executable} -m pip install tensorboard") from error
    return SummaryWriter
