"""FID of latents through the pixels they decode to. What needs diffusers is skipped where it is not installed."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.trainer.evaluation.autoencoders import tiny_autoencoder
from tests.trainer.evaluation.test_extractors import clip_file
from trainer.data.dataset import Dataset, load
from trainer.errors import DataError
from trainer.evaluation.autoencoder import load_autoencoder
from trainer.evaluation.evaluator import Evaluator
from trainer.evaluation.extractors import load_extractor, quantise
from trainer.recipe import DataRecipe, EvalRecipe, Recipe

CPU = torch.device("cpu")
LATENTS = np.random.RandomState(0).randn(40, 4, 4, 4).astype(np.float32) * 5 + 1


def latents(root: Path, **more: object) -> Dataset:
    np.savez(root / "x.npz", x=LATENTS, y=np.arange(40) % 2)
    return load(DataRecipe.model_validate({"name": "npz", "path": str(root / "x.npz"), **more}))


def recipe(root: Path, decoder: Path, **more: object) -> EvalRecipe:
    weights = str(clip_file(root / "clip.pt"))
    return EvalRecipe.model_validate({"extractor": "clip", "weights": weights, "decoder": str(decoder), **more})


@pytest.mark.parametrize("scaling", [{}, {"scale": 0.2, "shift": 1.5}], ids=["by channel", "scaled"])
def test_features_of_latents_are_those_of_the_pixels_they_decode_to(scaling: dict[str, float], tmp_path: Path) -> None:
    folder, data = tiny_autoencoder(tmp_path / "vae"), latents(tmp_path, **scaling)
    given = recipe(tmp_path, folder)
    extractor = load_extractor(given, data, tmp_path, CPU)
    assert data.standardisation is not None
    raw = data.standardisation.undone(data.held_images[:])
    assert {row.numpy().tobytes() for row in raw.round(decimals=2)} <= {
        row.tobytes() for row in torch.from_numpy(LATENTS).round(decimals=2).numpy()
    }
    pixels = load_autoencoder(folder, CPU).decode(raw)
    assert pixels.shape == (len(raw), 3, 8, 8)
    plain = load_extractor(given.model_copy(update={"decoder": None}), load(DataRecipe()), tmp_path, CPU)
    torch.testing.assert_close(extractor(data.held_images[:]), plain.net(quantise(pixels)))
    assert (extractor.name, extractor.pixels, extractor.dim) == ("clip", False, plain.dim)
    assert extractor.sha256 != plain.sha256


def test_the_extractors_hash_knows_the_decoder(tmp_path: Path) -> None:
    data, given = latents(tmp_path), recipe(tmp_path, tiny_autoencoder(tmp_path / "vae"))
    first = load_extractor(given, data, tmp_path, CPU).sha256
    assert first == load_extractor(given, data, tmp_path, CPU).sha256
    tiny_autoencoder(tmp_path / "vae", shift=0.5)
    assert load_extractor(given, data, tmp_path, CPU).sha256 != first


def test_fid_of_latents_with_a_decoder_is_torch_fidelitys_of_the_pixels(tmp_path: Path) -> None:
    data, given = latents(tmp_path), recipe(tmp_path, tiny_autoencoder(tmp_path / "vae"), samples=8)
    evaluator = Evaluator(given, data, tmp_path, CPU)
    assert evaluator.check_against_torch_fidelity(torch.randn(40, 4, 4, 4)) < 1e-4


def test_a_decoder_of_other_latents_or_for_pixels_is_one_line(tmp_path: Path) -> None:
    folder = tiny_autoencoder(tmp_path / "vae", latent_channels=8)
    with pytest.raises(DataError, match=r"vae: decodes 8 channels to 3; the latents have 4"):
        load_extractor(recipe(tmp_path, folder), latents(tmp_path), tmp_path, CPU)
    with pytest.raises(DataError, match=r"eval\.decoder decodes latents and 'digits' holds pixels; remove it"):
        load_extractor(recipe(tmp_path, folder), load(DataRecipe()), tmp_path, CPU)
    (folder / "diffusion_pytorch_model.safetensors").write_text("no weights")
    with pytest.raises(DataError, match=r"vae: not a diffusers AutoencoderKL \(") as caught:
        load_extractor(recipe(tmp_path, folder), latents(tmp_path), tmp_path, CPU)
    assert "\n" not in str(caught.value)


def test_a_folder_without_an_autoencoder_or_diffusers_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone/config\.json: no such file; give eval\.decoder the folder of a diff"):
        load_extractor(recipe(tmp_path, tmp_path / "gone"), latents(tmp_path), tmp_path, CPU)
    if importlib.util.find_spec("diffusers") is None:
        for name in ("config.json", "diffusion_pytorch_model.safetensors"):
            (tmp_path / name).write_text("{}")
        with pytest.raises(
            DataError, match=r"eval\.decoder needs diffusers, .*; pip install dispersive-sweeper\[latents\]$"
        ):
            load_extractor(recipe(tmp_path, tmp_path), latents(tmp_path), tmp_path, CPU)


def test_pixel_extractors_of_latents_want_a_decoder(tmp_path: Path) -> None:
    given = recipe(tmp_path, tmp_path).model_copy(update={"decoder": None})
    with pytest.raises(DataError, match=r"use extractor 'domain', or give eval\.decoder the folder of the latents'"):
        load_extractor(given, latents(tmp_path), tmp_path, CPU)


def test_a_decoder_is_for_extractors_of_pixels_and_changes_no_hash_where_there_is_none() -> None:
    with pytest.raises(ValueError, match="decoder is for inception, clip and dinov2"):
        EvalRecipe(decoder="vae")
    assert Recipe().hash == Recipe(eval=EvalRecipe(decoder=None)).hash


def test_encoding_gives_the_mean_of_the_latents(tmp_path: Path) -> None:
    coder = load_autoencoder(tiny_autoencoder(tmp_path, shift=0.5), CPU)
    images = torch.rand(2, 3, 8, 8)
    assert coder.encode(images).shape == (2, 4, 4, 4)
    assert coder.encode(images).equal(coder.encode(images))
    assert (coder.scale, coder.shift, coder.image_channels, coder.latent_channels) == (0.2, 0.5, 3, 4)
    parts = [(tmp_path / name).read_bytes() for name in ("config.json", "diffusion_pytorch_model.safetensors")]
    digests = b"".join(hashlib.sha256(part).digest() for part in parts)
    assert coder.sha256 == hashlib.sha256(digests).hexdigest()
