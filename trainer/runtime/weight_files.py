"""Weight files from elsewhere, of extractors and models: read once, hashed and loaded from those bytes, safely."""

from __future__ import annotations

import argparse
import hashlib
import io
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import safetensors.torch
import torch
from torch import Tensor

from trainer.errors import DataError


class Weights(NamedTuple):
    """Tensors by name, on the CPU, and the SHA-256 of the file they are from."""

    state: dict[str, Tensor]
    sha256: str


def read_weights(path: Path) -> Weights:
    """Read a state dict that torch.save or safetensors wrote; raise DataError for anything else.

    The file is opened only once: between hashing it and opening it again by name it could change.
    """
    content = path.read_bytes()
    return Weights(parse_weights(content, str(path)), hashlib.sha256(content).hexdigest())


def check_weights(path: Path) -> None:
    """Raise DataError, which names the file, unless it holds a state dict, of whatever model."""
    try:
        read_weights(path)
    except DataError:
        raise
    except Exception as error:  # zip, pickle, safetensors and file errors have no type in common
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise DataError(f"{path}: cannot be read as a weight file ({reason})") from error


def parse_weights(content: bytes, place: str, within: Sequence[str] = ()) -> dict[str, Tensor]:
    """Return the tensors by name in a file's content; raise DataError, which names `place`, for anything else.

    A checkpoint of training holds several state dicts: the first of `within` that it has is taken.
    """
    state: object
    if content[8:9] == b"{":  # safetensors: eight bytes of length, then JSON
        state = safetensors.torch.load(content)
    elif _is_torchscript(content):
        raise DataError(
            f"{place}: a TorchScript archive, which runs code when it is loaded; if you trust it, write its weights "
            "once with torch.save(torch.jit.load(file).state_dict(), other) and give that file"
        )
    else:
        # Training scripts save their arguments too, as plain data; loading them runs no code.
        with torch.serialization.safe_globals([argparse.Namespace]):
            state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    if isinstance(state, dict) and (held := [name for name in within if isinstance(state.get(name), dict)]):
        state = state[held[0]]
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise DataError(f"{place}: holds no plain state dict, tensors by name; write one with torch.save")
    return {str(name): tensor for name, tensor in state.items()}


def _is_torchscript(content: bytes) -> bool:
    if not zipfile.is_zipfile(io.BytesIO(content)):
        return False
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return any(name.endswith("constants.pkl") for name in archive.namelist())
