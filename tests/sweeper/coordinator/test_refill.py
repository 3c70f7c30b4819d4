"""When cohorts part and which lanes join, without a coordinator."""

import pytest

from sweeper.coordinator.refill import Refill, Stop
from sweeper.records import TrialSpec
from tests.sweeper.search.search_specs import BASELINE, trials

EARLY, LATE = Stop("r", 300), Stop("r", 600)


def lanes(first: int, count: int) -> list[TrialSpec]:
    return list(trials([BASELINE], range(first, first + count)))


@pytest.mark.parametrize(
    ("full", "living", "room"),
    [(1, 1, False), (2, 2, False), (2, 1, True), (8, 8, False), (8, 7, True), (16, 15, False), (16, 14, True)],
)
def test_a_cohort_has_room_when_an_eighth_of_its_lanes_is_free(full, living, room):
    assert Refill(full).has_room(living) == room


def test_lanes_of_one_stop_join_in_the_order_they_came_those_of_one_cohort_side_by_side():
    parking = Refill(4)
    for cohort, trials_of in (("b", lanes(0, 3)), ("a", lanes(10, 3))):
        assert parking.take_full() == []
        parking.park(EARLY, cohort, trials_of)
    parking.park(LATE, "c", lanes(20, 1))
    taken = parking.take_full()
    assert [(lane.cohort, lane.trial.seed) for lane in taken] == [("b", 0), ("b", 1), ("b", 2), ("a", 10)]
    assert parking.take_full() == []
    assert [lane.trial.seed for lane in parking.take_any()] == [11, 12]
    assert [lane.trial.seed for lane in parking.take_any()] == [20]
    assert parking.take_any() == parking.waiting() == []


def test_of_full_cohorts_the_furthest_goes_first_of_others_the_one_that_may_catch_up():
    parking = Refill(2)
    parking.park(LATE, "b", lanes(0, 3))
    parking.park(EARLY, "a", lanes(10, 3))
    assert [parking.take_full()[0].stop for _ in range(2)] == [LATE, EARLY]
    assert [parking.take_any()[0].stop for _ in range(2)] == [EARLY, LATE]


def test_recipes_do_not_mix():
    parking = Refill(2)
    parking.park(Stop("r", 300), "a", lanes(0, 1))
    parking.park(Stop("s", 300), "b", lanes(1, 1))
    assert parking.take_full() == []
    assert parking.has_company(Stop("s", 300))
    assert not parking.has_company(Stop("s", 600))


def test_memory_banks_of_different_sizes_do_not_mix():
    parking = Refill(2)
    parking.park(Stop("r", 300, (64, 1)), "a", lanes(0, 1))
    parking.park(Stop("r", 300), "b", lanes(1, 1))
    assert parking.take_full() == []
    assert [lane.trial.seed for lane in parking.take_any()] == [0]
