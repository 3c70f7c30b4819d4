"""Fresh seeds: derived for each study alone, and never those that a study of the same recipe has looked at."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeper.coordinator.seed_registry import SeedRegistry
from sweeper.errors import StudyError
from sweeper.study import Study, fresh_seeds
from sweeper.study.registration import Registration


def study(name: str = "one", **changes: object) -> Study:
    given = {"name": name, "question": "?", "space": {"block": [1], "lambda": [0.1]}, "confirm": {"seeds": 5}}
    return Study.model_validate(given | changes)


def other(**changes: object) -> Study:
    return study("other", screen={"seeds": [20]}, **changes)


def registration(of: Study) -> Registration:
    return Registration.of(of, Path("ws"))


def test_fresh_seeds_follow_from_name_and_settings_and_no_two_studies_share_them():
    recipe = {"train": {"lr": 0.004}}
    several = [study("one"), study("two"), study("one", recipe=recipe), study("one_next")]
    drawn = [seed for of in several for seed in fresh_seeds(of)]
    assert len(set(drawn)) == len(drawn) == 20
    assert fresh_seeds(study("one", screen={"seeds": 6})) == fresh_seeds(study("one"))
    assert all(1000 <= seed < 1_000_000 for seed in drawn)


def test_a_longer_sequence_begins_as_the_shorter_one_and_leaves_out_what_was_seen():
    shorter, longer = study(confirm={"seeds": 3}), study(confirm={"seeds": "auto", "limit": 8})
    first = fresh_seeds(shorter)
    assert fresh_seeds(longer)[:3] == first
    assert fresh_seeds(shorter, seen=first[:1]) == fresh_seeds(longer)[1:4]


def test_seeds_that_another_study_of_the_recipe_looked_at_are_refused_as_fresh(tmp_path):
    registry = SeedRegistry(tmp_path / "seeds.jsonl")
    first, stale = registration(study()), registration(other(confirm={"seeds": [7, 2]}))
    registry.add(first, (0, 1, 2))
    with pytest.raises(StudyError, match="not fresh: one already used them with this recipe: 2"):
        registry.refuse_seen(stale)
    registry.refuse_seen(registration(other(confirm={"seeds": [7, 8]})))
    registry.refuse_seen(registration(other(recipe={"train": {"lr": 0.1}}, confirm={"seeds": [7, 2]})))
    registry.refuse_seen(first.model_copy(update={"study": other(confirm={"seeds": [1, 2]})}))


def test_a_look_is_noted_once_and_a_torn_line_is_passed_over(tmp_path):
    path = tmp_path / "seeds.jsonl"
    registry, first = SeedRegistry(path), registration(study())
    registry.add(first, (0, 1))
    registry.add(first, (0, 1))
    assert len(path.read_text().splitlines()) == 1
    path.write_text(path.read_text() + '{"study": "torn", "seeds": [')
    assert registry.seen(registration(study("other"))) == {0: "one", 1: "one"}
