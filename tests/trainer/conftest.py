"""The digits and their extractor, made once for all tests of the trainer."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from trainer.data.dataset import Dataset, load
from trainer.evaluation.evaluator import Evaluator
from trainer.recipe import DataRecipe, EvalRecipe


@pytest.fixture(scope="session")
def digits() -> Dataset:
    return load(DataRecipe())


@pytest.fixture(scope="session")
def evaluator(digits: Dataset, extractor_cache: Path) -> Evaluator:
    """An evaluator of 600 samples; its domain extractor is really trained."""
    return Evaluator(EvalRecipe(samples=600), digits, extractor_cache, torch.device("cpu"))
