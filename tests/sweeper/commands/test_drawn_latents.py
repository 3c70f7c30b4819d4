"""Latents that are drawn come in the units of the study's data, from which training moved and scaled them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from sweeper.commands.kept_models import _standardisation
from sweeper.errors import DataError
from trainer.data.dataset import load
from trainer.recipe import DataRecipe


@pytest.fixture
def file(tmp_path: Path) -> Path:
    generator = np.random.default_rng(0)
    latents = generator.normal([[[[3.0]], [[-1.0]]]], [[[[5.0]], [[0.5]]]], (40, 2, 4, 4)).astype(np.float32)
    np.savez(tmp_path / "latents.npz", x=latents, y=np.arange(40) % 2)
    return tmp_path / "latents.npz"


def kept(recipe: DataRecipe, data_hash: str) -> Any:
    return SimpleNamespace(
        origin=SimpleNamespace(recipe=SimpleNamespace(data=recipe), data_hash=data_hash, shape=(2, 4, 4))
    )


@pytest.mark.parametrize("given", [{}, {"scale": 0.2, "shift": 1.5}])
def test_what_was_trained_on_comes_back_as_it_was_read(file: Path, given: dict[str, float]) -> None:
    recipe = DataRecipe.model_validate({"name": "npz", "path": str(file), **given})
    data = load(recipe)
    trained_on = data.reference_images[torch.arange(len(data.reference_labels))]
    original = np.load(file)["x"]
    if given:
        file.unlink()  # what the study says of them is enough
    found = _standardisation(kept(recipe, data.hash)).undone(trained_on).numpy()
    assert found.dtype == np.float32
    for latent in found:
        assert np.abs(original - latent).max(axis=(1, 2, 3)).min() < 1e-5
    assert abs(trained_on.numpy() - found).max() > 0.5


def test_other_data_have_another_scale_and_are_refused(file: Path) -> None:
    recipe = DataRecipe.model_validate({"name": "npz", "path": str(file)})
    with pytest.raises(DataError, match="is not what the model was trained on"):
        _standardisation(kept(recipe, "another"))
    file.unlink()
    with pytest.raises(DataError) as refused:
        _standardisation(kept(recipe, "another"))
    assert refused.value.remedy == "the data are needed to give latents their own scale"
