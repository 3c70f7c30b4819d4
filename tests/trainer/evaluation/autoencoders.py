"""A tiny AutoencoderKL, made where diffusers is installed."""

from pathlib import Path

import pytest
import torch

from trainer.evaluation.torch_fidelity import torch_fidelity


def tiny_autoencoder(folder: Path, latent_channels: int = 4, shift: float | None = None) -> Path:
    """Write one that halves 3-channel images; skip the test where diffusers is not installed."""
    torch_fidelity()
    diffusers = pytest.importorskip("diffusers", reason="pip install dispersive-sweeper[latents]")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = diffusers.AutoencoderKL(
            block_out_channels=(16, 16),
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            latent_channels=latent_channels,
            norm_num_groups=4,
            scaling_factor=0.2,
            shift_factor=shift,
        )
    made.save_pretrained(folder)
    return folder
