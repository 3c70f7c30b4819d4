"""A diffusers AutoencoderKL from a local folder: decodes latents for FID, and encodes images for training."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import safe_open
from torch import Tensor

from trainer.errors import DataError
from trainer.evaluation.torch_fidelity import torch_fidelity

CONFIG, WEIGHTS = "config.json", "diffusion_pytorch_model.safetensors"
AT_ONCE = 8  # images: at 256 x 256 a decoder's widest layer makes 34 MB of each


class Autoencoder(NamedTuple):
    """A frozen autoencoder, the SHA-256 of its two files, its channels, and how its latents are scaled for training."""

    module: Any
    sha256: str
    latent_channels: int
    image_channels: int
    scale: float
    shift: float | None

    @torch.no_grad()
    def decode(self, latents_NCHW: Tensor) -> Tensor:
        """Return pixels, about in [-1, 1], of latents as the encoder gives them: not scaled, not shifted."""
        pixels: Tensor = self.module.decode(latents_NCHW).sample
        return pixels

    @torch.no_grad()
    def encode(self, images_NCHW: Tensor) -> Tensor:
        """Return the mean of the latents' distribution, neither scaled nor shifted, of pixels in [-1, 1]."""
        latents: Tensor = self.module.encode(images_NCHW).latent_dist.mean
        return latents


def check_autoencoder(folder: Path) -> None:
    """Raise DataError, which names the file, unless a folder's two files are of their formats; neither is loaded."""
    for name, read in ((CONFIG, _read_config), (WEIGHTS, _read_header)):
        try:
            read(folder / name)
        except Exception as error:  # json, safetensors and file errors have no type in common
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
            raise DataError(f"{folder / name}: not a file of a diffusers AutoencoderKL ({reason})") from error


def _read_config(file: Path) -> None:
    if not isinstance(json.loads(file.read_text(encoding="utf-8")), dict):
        raise ValueError("it is not a mapping")


def _read_header(file: Path) -> None:
    with safe_open(file, framework="pt"):
        pass


def load_autoencoder(folder: Path, device: torch.device, key: str = "eval.decoder") -> Autoencoder:
    """Load an AutoencoderKL that `save_pretrained` wrote; nothing is downloaded, and no pickle is read.

    Raises DataError, which names the folder and `key`, where diffusers or a file is missing, or is another model's.
    """
    files = folder / CONFIG, folder / WEIGHTS
    for file in files:
        if not file.is_file():
            raise DataError(f"{file}: no such file; give {key} the folder of a diffusers AutoencoderKL")
    torch_fidelity()  # defines operators that torchvision, which diffusers imports, lacks beside a CPU build of torch
    try:
        from diffusers import AutoencoderKL
    except ImportError as error:
        raise DataError(
            f"{key} needs diffusers, which cannot be imported ({error}); pip install dispersive-sweeper[latents]"
        ) from error
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as content:
            digest.update(hashlib.file_digest(content, "sha256").digest())
    try:
        module = AutoencoderKL.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, low_cpu_mem_usage=False
        )
    except Exception as error:  # json, safetensors, and shape errors have no type in common
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise DataError(f"{folder}: not a diffusers AutoencoderKL ({reason})") from error
    module = module.float().requires_grad_(False).eval().to(device)
    config = module.config
    channels = config.latent_channels, config.out_channels
    return Autoencoder(module, digest.hexdigest(), *channels, config.scaling_factor, config.shift_factor)
