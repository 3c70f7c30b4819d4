"""Lambda 0's further seeds in a screen: how many, which, and that studies without them stay what they were."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from sweeper.guide.follow_up.build_study import unused_seeds
from sweeper.study import Study, fresh_seeds, further_seeds
from sweeper.study.baseline_seeds import MOST, reserved_seeds
from sweeper.study.fingerprint import fingerprint
from sweeper.study.study import Screen
from tests.sweeper.guide.study_records import BASELINE as ARM
from tests.sweeper.guide.study_records import make_record, make_study, trial
from trainer.recipe.identity import identity


def study(baseline_seeds: object = "auto", blocks: int = 4, **screen: Any) -> Study:
    """Three seeds on so many blocks, one lambda and three taus."""
    space = {"block": list(range(blocks)), "lambda": [0.01], "tau": [0.25, 0.5, 1.0]}
    return make_study(space=space, screen={"baseline_seeds": baseline_seeds, **screen})


@pytest.mark.parametrize(("blocks", "count"), [(1, 6), (2, 8), (3, 9), (4, 11)])
def test_auto_is_the_square_root_of_the_number_of_settings_times_their_seeds(blocks: int, count: int) -> None:
    assert further_seeds(study(blocks=blocks)) == tuple(range(3, count))


def test_auto_takes_no_more_than_say_something() -> None:
    assert 3 + len(further_seeds(study(seeds=6, blocks=4))) == 3 + MOST - 6
    # Nor fewer than the settings have.
    assert further_seeds(study(seeds=25)) == ()


def test_a_number_is_taken_as_it_is() -> None:
    assert further_seeds(study(5, seeds=[4, 2])) == (5, 6, 7)
    assert further_seeds(study(3)) == ()


def test_a_study_that_does_not_ask_for_them_is_what_it_was() -> None:
    before = study(None)
    assert further_seeds(before) == reserved_seeds(before) == ()
    assert "baseline_seeds" not in identity(before.screen)
    assert fingerprint(before) == fingerprint(study("auto")) == fingerprint(make_study())
    assert Screen() == Screen(baseline_seeds=None)


def test_a_search_counts_them_in_its_budget() -> None:
    searched = study(sampler="random", trials=60)
    assert 3 + len(further_seeds(searched)) == 14  # of 19 settings at most
    with pytest.raises(ValidationError, match="must be at least 11: 8 seeds of the baseline"):
        study(8, sampler="random", trials=10)


def test_no_fresh_seed_and_no_seed_of_a_next_study_is_one_of_them() -> None:
    asked = study()
    assert not {*fresh_seeds(asked)} & {*reserved_seeds(asked)}
    written = asked.model_copy(update={"confirm": asked.confirm.model_copy(update={"seeds": (4, 6)})})  # type: ignore[union-attr]
    assert further_seeds(written)[:3] == (3, 5, 7)
    assert not {*unused_seeds(make_record(asked, [trial(ARM, 0)]), 3)} & {*reserved_seeds(asked)}


@pytest.mark.parametrize("given", [2, 0, "many", True])
def test_fewer_than_a_setting_has_and_what_is_no_number_is_refused(given: object) -> None:
    with pytest.raises(ValidationError, match="must be"):
        study(given)
