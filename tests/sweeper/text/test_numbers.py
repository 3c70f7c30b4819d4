"""How numbers are written for readers."""

import pytest

from sweeper.text.numbers import duration


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0.0 s"), (9.94, "9.9 s"), (89, "89 s"), (90, "2 min"), (5_500, "92 min"), (7_200, "2 h 0 min"), (None, "-")],
)
def test_a_duration_is_written_as_people_say_it(seconds, said):
    assert duration(seconds) == said
