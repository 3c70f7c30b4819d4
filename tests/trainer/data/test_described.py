"""A recipe may say what its file holds, so that plans need no file; the file is then held to it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from trainer.data.dataset import load
from trainer.errors import DataError
from trainer.recipe import DataRecipe, Recipe


def described(path: Path, **said: object) -> DataRecipe:
    return DataRecipe.model_validate({"name": "npz", "path": str(path), **said})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Twelve latents of three classes."""
    random = np.random.default_rng(0)
    np.savez(tmp_path / "x.npz", x=random.normal(size=(12, 4, 6, 8)).astype("f4"), y=np.arange(12) % 3)
    return tmp_path / "x.npz"


def test_a_file_that_is_as_the_recipe_says_is_read_as_without_it(file: Path) -> None:
    assert load(described(file, shape=[12, 4, 6, 8], classes=3)).hash == load(described(file)).hash


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ({"shape": [13, 4, 6, 8]}, r"x is \[12, 4, 6, 8\] and data\.shape says \[13, 4, 6, 8\]"),
        ({"shape": [12, 4, 8, 6]}, r"data\.shape says \[12, 4, 8, 6\]"),
        ({"classes": 4}, r"y has 3 classes and data\.classes says 4"),
    ],
)
def test_a_file_that_is_not_what_the_recipe_says_is_refused(
    file: Path, said: dict[str, object], complaint: str
) -> None:
    with pytest.raises(DataError, match=complaint):
        load(described(file, **said))


@pytest.mark.parametrize("said", [{"shape": (1797, 1, 8, 8)}, {"classes": 10}], ids=str)
def test_only_an_npz_is_described(said: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=rf"data\.{next(iter(said))}\s+must be left out"):
        Recipe.model_validate({"data": {"name": "digits", **said}})


def test_a_recipe_that_describes_nothing_keeps_its_hash() -> None:
    path = Path("x.npz")
    assert Recipe(data=described(path)).hash == "24c2168953c8408d"  # recorded before data could be described
    assert Recipe(data=described(path, classes=3)).hash != "24c2168953c8408d"
