"""Cohorts of a small recipe on the digits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.trainer.training.cohorts import CPU, LANES, RECIPE
from trainer.data.dataset import Dataset
from trainer.evaluation.evaluator import Evaluator
from trainer.training.cohort import Cohort


@pytest.fixture(scope="session")
def small_evaluator(digits: Dataset, extractor_cache: Path) -> Evaluator:
    """An evaluator of 100 samples."""
    return Evaluator(RECIPE.eval, digits, extractor_cache, CPU)


@pytest.fixture
def build(digits: Dataset, small_evaluator: Evaluator) -> Callable[..., Cohort]:
    """Build a cohort of these lanes and this recipe."""
    return lambda lanes=LANES, recipe=RECIPE: Cohort(recipe, lanes, digits, CPU, small_evaluator)
