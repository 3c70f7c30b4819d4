"""The examples in docstrings of the names that are used most, and in pages."""

import doctest
import importlib
from pathlib import Path

import pytest

from tests.places import ROOT

MODULES = (
    "sweeper",
    "sweeper.api.functions",
    "sweeper.api.results",
    "sweeper.guide.assemble",
    "sweeper.guide.wording.directions",
    "sweeper.guide.analysis.worth_confirming",
    "sweeper.records",
    "sweeper.statistics.dominance",
    "sweeper.study.blocks",
    "sweeper.study.second_objectives",
    "sweeper.study.yaml_files",
    "sweeper.study.study",
    "trainer.evaluation.frechet",
    "trainer.recipe.metrics",
    "trainer.recipe.recipe",
    "trainer.recipe.auxiliary_losses",
    "trainer.regularisers.activation_norm",
    "trainer.regularisers.repa",
    "trainer.regularisers.contrastive",
    "trainer.regularisers.dispersive",
    "trainer.regularisers.dispersive_module",
    "trainer.training.cohort",
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_give_what_they_say(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    found = doctest.testmod(importlib.import_module(name), extraglobs={"Path": Path})
    assert found.attempted > 0
    assert found.failed == 0


PAGES = ("docs/python.md",)


@pytest.mark.parametrize("page", PAGES)
def test_examples_of_a_page_give_what_they_say(page, monkeypatch):
    monkeypatch.chdir(ROOT)
    found = doctest.testfile(str(ROOT / page), module_relative=False)
    assert found.attempted > 0
    assert found.failed == 0
