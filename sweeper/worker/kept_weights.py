"""How a worker keeps the weights of a trial beyond its study."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from trainer.runtime.files import FULL
from trainer.sampling import kept_model as kept
from trainer.sampling.kept_model import Origin


def keep(path: Path, origin: Origin, state: Mapping[str, Tensor], spare: int) -> str:
    """Write a trial's weights; on a full disk return why they are lost, since the trial matters more than its weights.

    Room is left for their copy in MLflow and for `spare` bytes, which training will write. Raises OSError for any
    other trouble.
    """
    size = sum(tensor.nbytes for tensor in state.values())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(path.parent).free < 2 * size + spare:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        kept.save(path, origin, state)
    except OSError as error:
        if error.errno not in FULL:
            raise
        return f"weights lost: {os.strerror(error.errno)}"
    return ""
