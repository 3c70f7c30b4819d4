"""`sweeper encode`: what it writes is what a study reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from tests.sweeper.cli.test_app import Run, run
from tests.trainer.data.test_dataset import write_folder
from tests.trainer.evaluation.autoencoders import tiny_autoencoder
from trainer.data.dataset import load
from trainer.evaluation.autoencoder import load_autoencoder
from trainer.recipe import DataRecipe

__all__ = ["run"]  # a fixture, used by being here


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_folder(tmp_path / "images", size=(8, 8))
    return tmp_path / "images"


def test_a_study_reads_the_latents_of_a_folder_scaled_as_the_autoencoder_says(
    run: Run, folder: Path, tmp_path: Path
) -> None:
    coder, out = tiny_autoencoder(tmp_path / "vae", shift=0.5), tmp_path / "latents.npy"
    done = run("encode", folder, out, "--autoencoder", coder, "--size", 8, "--batch", 5)
    assert done.code == 0, done.err
    data = load(DataRecipe.model_validate(yaml.safe_load(done.out)["data"]))
    images = load(DataRecipe(name="folder", path=str(folder), image_size=8))
    latents = load_autoencoder(coder, torch.device("cpu")).encode(images.reference_images[:])
    torch.testing.assert_close(data.reference_images[:], (latents - 0.5) * 0.2, rtol=1e-4, atol=1e-5)
    assert data.reference_labels.equal(images.reference_labels)
    assert np.load(out).dtype == np.float32
    assert "12 of 12 images" in done.err
    assert sorted(path.name for path in tmp_path.glob("latents*")) == ["latents.labels.npy", "latents.npy"]
    again = run("encode", folder, out, "--autoencoder", coder, "--size", 8)
    assert (again.code, "latents.npy exists already" in again.err) == (2, True)


@pytest.mark.parametrize(
    ("out", "code", "says"),
    [
        ("x.npz", 2, "x.npz: latents are written as .npy"),
        ("x.npy", 4, "config.json: no such file; give --autoencoder the folder of a diffusers AutoencoderKL"),
    ],
)
def test_what_cannot_be_encoded_is_one_line(
    out: str, code: int, says: str, run: Run, folder: Path, tmp_path: Path
) -> None:
    done = run("encode", folder, tmp_path / out, "--autoencoder", tmp_path / "gone")
    assert done.code == code
    assert says in done.err
    assert "Traceback" not in done.err
    assert not list(tmp_path.glob("x*"))
