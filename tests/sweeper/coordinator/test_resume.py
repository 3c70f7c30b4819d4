"""Which cohort on disk a running trial goes on in after a kill."""

from __future__ import annotations

from sweeper.coordinator.cohort_store import CohortFolder, StoredCohort
from sweeper.coordinator.resume import resume
from tests.sweeper.search.search_specs import BASELINE, trials

FIRST, SECOND, THIRD = trials([BASELINE], range(3))


def test_a_running_trial_goes_on_in_the_cohort_that_began_latest(tmp_path):
    folder = CohortFolder(tmp_path)
    begun = folder.store(StoredCohort.of([FIRST, SECOND]))
    joined = folder.store(StoredCohort.of([SECOND, THIRD], 600, (begun.name, "elsewhere")))
    found = resume(folder, [FIRST, SECOND, THIRD], "screen")
    assert dict(found.cohorts) == {begun: (FIRST,), joined: (SECOND, THIRD)}
    assert found.lost == ()


def test_a_cohort_whose_trials_all_went_on_elsewhere_is_named_without_any(tmp_path):
    folder = CohortFolder(tmp_path)
    begun = folder.store(StoredCohort.of([FIRST]))
    joined = folder.store(StoredCohort.of([FIRST], 600, (begun.name,)))
    assert dict(resume(folder, [FIRST], "screen").cohorts) == {begun: (), joined: (FIRST,)}


def test_a_trial_that_was_claimed_but_not_stored_is_in_no_cohort(tmp_path):
    folder = CohortFolder(tmp_path)
    folder.store(StoredCohort.of([FIRST]))
    assert resume(folder, [FIRST, SECOND], "screen").lost == (SECOND,)


def test_a_folder_that_names_no_running_trial_is_removed(tmp_path):
    folder = CohortFolder(tmp_path)
    ended = folder.store(StoredCohort.of([FIRST]))
    assert resume(folder, [SECOND], "screen") == ((), (SECOND,))
    assert folder.read(ended.name) is None
