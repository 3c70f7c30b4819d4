"""Checkpoints: one safetensors file, written atomically, that carries a hash of its own content. No pickle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialise
from torch import Tensor

from trainer.runtime.files import write_whole

HASH = "sha256"


class CheckpointError(ValueError):
    """A checkpoint is damaged, or belongs to another cohort."""


def save(path: Path, state: Mapping[str, Tensor], owner: str) -> None:
    """Write `state` so that `path` holds either the old or the new checkpoint, whole, whenever the machine stops.

    `owner` says whose state it is; `load` refuses another's. Raises OSError (disk full, no permission).
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    write(path, tensors, {"owner": owner, HASH: digest(tensors, owner)})


def write(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    """Write contiguous tensors of the CPU as safetensors, whole or not at all. Raises OSError."""
    content = serialise(dict(tensors), metadata)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, content)


def load(path: Path, owner: str) -> dict[str, Tensor]:
    """Read a checkpoint back; raise CheckpointError if there is none, a bit changed, or it is another owner's.

    Raises OSError where the machine is at fault.
    """
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (SafetensorError, FileNotFoundError) as error:
        raise CheckpointError(f"{path}: not a readable checkpoint ({error})") from error
    if metadata.get(HASH) != digest(state, metadata.get("owner", "")):
        raise CheckpointError(f"{path}: content does not match its SHA-256; the file is damaged")
    if metadata["owner"] != owner:
        raise CheckpointError(f"{path}: belongs to {metadata['owner']}, not to {owner}")
    return state


def digest(tensors: Mapping[str, Tensor], owner: str) -> str:
    """Return the SHA-256 of named tensors and of words about them."""
    sha256 = hashlib.sha256(owner.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        sha256.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        sha256.update(tensor.contiguous().reshape(-1).numpy().tobytes())
    return sha256.hexdigest()
