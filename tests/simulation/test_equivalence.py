from __future__ import annotations

from tests.simulation.equivalence import WAYS, WITHIN, Row, found


def test_harmless_settings_are_shown_to_be_where_a_reader_asks_and_seldom_else() -> None:
    harmless = Row(0.0, 0.03)
    plain, asked = (found(harmless, WAYS[way], 40) for way in ("looks to 12", "looks to 12, equivalence"))
    assert plain.arms < 0.3
    assert asked.arms > 0.65
    assert plain.trials < asked.trials < 48


def test_a_change_as_large_as_the_margin_is_called_equivalent_as_seldom_as_its_level_says() -> None:
    at_margin = found(Row(WITHIN.margin, 0.03), WAYS["looks to 20, equivalence"], 100)
    assert at_margin.studies <= 0.03
