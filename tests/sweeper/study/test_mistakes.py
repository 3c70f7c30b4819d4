"""Remedies for mistakes in a study, which say where a thing belongs."""

from __future__ import annotations

import pytest

from sweeper.errors import StudyError
from sweeper.study.yaml_files import read_study
from tests.places import SMOKE


def test_a_part_of_the_recipe_at_the_top_is_sent_where_it_belongs() -> None:
    with pytest.raises(StudyError) as error:
        read_study(SMOKE, ["train.steps=90"])
    assert error.value.remedy == "It is a part of the recipe: 'recipe.train' after --set, and below 'recipe' in a file."
