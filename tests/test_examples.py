"""The examples in docstrings of the names that are used most."""

import doctest
import importlib
from pathlib import Path

import pytest

from tests.places import ROOT

MODULES = (
    "sweeper.guide.assemble",
    "sweeper.guide.wording.directions",
    "sweeper.guide.analysis.worth_confirming",
    "sweeper.records",
    "sweeper.study.blocks",
    "sweeper.study.yaml_files",
    "sweeper.study.study",
    "trainer.evaluation.frechet",
    "trainer.recipe.metrics",
    "trainer.recipe.recipe",
    "trainer.recipe.auxiliary_losses",
    "trainer.regularisers.alignment",
    "trainer.regularisers.contrastive",
    "trainer.regularisers.dispersive",
    "trainer.training.cohort",
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_give_what_they_say(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    found = doctest.testmod(importlib.import_module(name), extraglobs={"Path": Path})
    assert found.attempted > 0
    assert found.failed == 0
