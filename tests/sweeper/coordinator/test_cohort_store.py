"""What is kept of cohorts on disk, and for how long."""

import pytest

from sweeper.coordinator.cohort_store import CohortFolder, Needed, StoredCohort
from tests.sweeper.search.search_specs import BASELINE, trials

SPECS = trials([BASELINE], range(3))


def test_what_is_stored_is_read_back_and_cohorts_are_named_by_their_trials_and_step(tmp_path):
    folder = CohortFolder(tmp_path)
    joined = folder.store(StoredCohort.of(SPECS, 600, ("a", "a", "b")))
    assert folder.read(joined.name) == joined
    assert joined.origins == {SPECS[0].key: "a", SPECS[1].key: "a", SPECS[2].key: "b"}
    assert len({joined.name, StoredCohort.of(SPECS).name, StoredCohort.of(SPECS[:2]).name}) == 3


def test_every_lane_has_a_source_or_none_has():
    with pytest.raises(ValueError, match="3 lanes have 2 sources"):
        StoredCohort.of(SPECS, 600, ("a", "b"))


def test_what_a_cohort_parked_is_needed_until_the_last_of_its_lanes_is_let_go():
    needed = Needed()
    for spec in SPECS:
        needed.add("a", spec.key)
    assert not any(needed.drop("a", spec.key) for spec in SPECS[:2])
    assert needed.any_of("a")
    assert needed.drop("a", SPECS[2].key)
    assert not needed.any_of("a")
    assert not needed.drop("a", SPECS[2].key)
