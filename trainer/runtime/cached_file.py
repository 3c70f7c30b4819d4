"""Files of tensors that are costly to make, made by the first process that needs them and read by all others."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock
from torch import Tensor

from trainer.runtime.checkpoint import CheckpointError, load, save

logger = logging.getLogger(__name__)


def made_once(path: Path, owner: str, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """Return the tensors in `path`, made first if the file is missing, damaged or not `owner`'s.

    Processes that ask at the same time wait for the one that makes them.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f"{path.name}.lock")):
        if path.exists():
            try:
                return load(path, owner)
            except CheckpointError as error:
                logger.warning("%s; making it again", error)
        tensors = make()
        save(path, tensors, owner)
        return load(path, owner)
