from __future__ import annotations

from collections.abc import Sequence

import pytest

from sweeper.ledger.live_points import MOST_POINTS, MOST_TRIALS, LivePoints, Point

Written = list[tuple[str, list[int]]]


def written_by(live: LivePoints) -> Written:
    found: Written = []

    def write(key: str, points: Sequence[Point]) -> bool:
        found.append((key, [point.step for point in points]))
        return True

    live.deliver(write)
    return found


def test_points_are_written_by_trial_and_once() -> None:
    live = LivePoints(interval_s=0)
    for step in (25, 50):
        live.add("a", step, 0.5, None)
        live.add("b", step, 0.4, 12.0)
    assert written_by(live) == [("a", [25, 50]), ("b", [25, 50])]
    assert written_by(live) == []


def test_they_wait_until_it_is_time() -> None:
    live = LivePoints(interval_s=3600)
    live.add("a", 25, 0.5, None)
    assert written_by(live) == []
    live.interval_s = 0
    assert written_by(live) == [("a", [25])]


def test_many_trials_take_turns_so_that_calls_stay_few() -> None:
    live = LivePoints(interval_s=0)
    keys = [f"{number:02}" for number in range(20)]
    for key in keys:
        live.add(key, 1, 0.5, None)
    turns = [[key for key, _ in written_by(live)] for _ in range(3)]
    assert max(map(len, turns)) == MOST_TRIALS
    assert [key for turn in turns for key in turn] == keys


def test_a_store_that_does_not_answer_loses_points_and_nothing_else() -> None:
    live = LivePoints(interval_s=0)
    live.add("a", 1, 0.5, None)

    def fails(_key: str, _points: Sequence[Point]) -> bool:
        raise ConnectionError

    live.deliver(fails)
    live.add("a", 2, 0.5, None)
    assert written_by(live) == [("a", [2])]


def test_points_of_a_trial_that_the_store_does_not_know_yet_wait_behind_the_others() -> None:
    live = LivePoints(interval_s=0)
    for key in ("a", "b"):
        live.add(key, 1, 0.5, None)
    live.deliver(lambda key, _points: key != "a")
    live.add("c", 1, 0.5, None)
    live.add("a", 2, 0.5, None)
    assert written_by(live) == [("a", [1, 2]), ("c", [1])]


@pytest.mark.parametrize("extra", [0, 1, 50])
def test_of_a_trial_that_waits_long_the_newest_points_are_kept(extra: int) -> None:
    live = LivePoints(interval_s=0)
    for step in range(MOST_POINTS + extra):
        live.add("a", step, 0.5, None)
    assert written_by(live) == [("a", list(range(extra, MOST_POINTS + extra)))]
