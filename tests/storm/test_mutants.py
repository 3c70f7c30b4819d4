"""A few of the storm's mutants in every run of the tests; `python -m tests.storm.mutants` times thousands."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pytest

from tests.storm.mutants import KINDS, mutated, studies


@pytest.mark.parametrize(("kind", "count"), [("studies", 200), ("workspaces", 12)])
def test_a_damaged_file_is_answered_in_words_and_leaves_nothing_behind(tmp_path: Path, kind: str, count: int) -> None:
    assert list(KINDS[kind](count, tmp_path, 1, math.inf)) == []


def test_a_command_that_fails_on_a_mutant_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise KeyError("ours")

    monkeypatch.setattr("sweeper.study.yaml_files.read_study", broken)
    assert any("KeyError" in failure.says for failure in studies(1, tmp_path, over_s=math.inf))


def test_mutants_differ_and_come_back_with_their_seed() -> None:

    text = b"name: a\nspace:\n  block: [0]\n"
    made = [mutated(text, random.Random(number)) for number in range(50)]
    assert len(set(made)) > 40
    assert made == [mutated(text, random.Random(number)) for number in range(50)]
