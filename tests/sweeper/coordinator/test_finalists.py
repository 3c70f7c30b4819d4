from __future__ import annotations

from pathlib import Path

import pytest

from sweeper.coordinator.finalists import NOTE, Finalists
from tests.sweeper.search.search_specs import GRID

MADE = Finalists(cells=GRID[:2], seeds=(100, 101))


class Notes:
    def __init__(self) -> None:
        self.kept: dict[str, str] = {}

    def read(self, name: str) -> str | None:
        return self.kept.get(name)

    def write(self, name: str, text: str) -> None:
        self.kept[name] = text


def other() -> Finalists:
    return Finalists(cells=GRID, seeds=(100, 101, 102))


def test_a_choice_is_made_once_however_often_and_wherever_the_study_is_continued(tmp_path: Path) -> None:
    notes = Notes()
    first = Finalists.keep(notes, tmp_path / "confirm.json", lambda: MADE)
    assert Finalists.keep(notes, tmp_path / "elsewhere" / "confirm.json", other) == first == MADE
    assert list(notes.kept) == [NOTE]


def test_a_choice_that_an_older_version_kept_in_a_file_holds(tmp_path: Path) -> None:
    (tmp_path / "confirm.json").write_text(MADE.model_dump_json())
    assert Finalists.keep(Notes(), tmp_path / "confirm.json", other) == MADE


@pytest.mark.parametrize("content", ["", '{"cells": [', "[" * 100_000])
def test_such_a_file_that_was_cut_is_passed_over(tmp_path: Path, content: str) -> None:
    (tmp_path / "confirm.json").write_text(content)
    assert Finalists.keep(Notes(), tmp_path / "confirm.json", other) == other()
