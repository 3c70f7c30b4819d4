from __future__ import annotations

from tests.golden.regenerate import GUIDE, written


def test_the_recorded_study_gives_the_golden_guide() -> None:
    assert written() == GUIDE.read_text(encoding="utf-8"), "run `python -m tests.golden.regenerate` and read the diff"
