"""The digits and their extractor, made once for all tests of the trainer."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from trainer.data.dataset import Dataset, load
from trainer.data.images import Images
from trainer.evaluation.evaluator import Evaluator
from trainer.recipe import DataRecipe, EvalRecipe


@pytest.fixture(scope="session")
def digits() -> Dataset:
    return load(DataRecipe())


@pytest.fixture
def digits_in_float64(digits: Dataset) -> Iterator[Dataset]:
    """The digits to train on in float64, which is torch's default for as long."""
    torch.set_default_dtype(torch.float64)
    yield dataclasses.replace(digits, train_images=Images(digits.train_images[:].double(), None))
    torch.set_default_dtype(torch.float32)


@pytest.fixture(scope="session")
def evaluator(digits: Dataset, extractor_cache: Path) -> Evaluator:
    """An evaluator of 600 samples; its domain extractor is really trained."""
    return Evaluator(EvalRecipe(samples=600), digits, extractor_cache, torch.device("cpu"))
