from __future__ import annotations

from pathlib import Path

from sweeper.chosen import Chosen
from tests.sweeper.search_specs import GRID


def test_a_choice_is_made_once_however_often_the_study_is_continued(tmp_path: Path) -> None:
    first = Chosen.keep(tmp_path / "confirm.json", lambda: GRID[:2], lambda: (100, 101))
    again = Chosen.keep(tmp_path / "confirm.json", lambda: GRID, lambda: (100, 101, 102))
    assert first == again
    assert (again.cells, again.seeds) == (GRID[:2], (100, 101))
    assert [one.name for one in tmp_path.iterdir()] == ["confirm.json"]
