"""No guide compares trials of one arm that had different inputs."""

from __future__ import annotations

import pytest

from sweeper.errors import DataError
from sweeper.guide.assemble import assemble_guide
from sweeper.records import INPUTS, StudyRecord
from tests.sweeper.guide.study_records import BASELINE, FACTS, control, make_record, make_study, setting, trial

CELL = setting((1,), 0.01, 0.5)


def with_two(field: str, first: str, second: str, same_arm: bool = True) -> StudyRecord:
    """A record whose last trial has the `second` hash, and every other the `first`."""
    cells = (BASELINE, CELL, BASELINE, CELL if same_arm else control())
    trials = [trial(cell, seed) for cell, seed in zip(cells, (0, 0, 1, 1), strict=True)]
    hashes = (first, first, first, second)
    return make_record(
        make_study(),
        [
            one.model_copy(update={"facts": FACTS.model_copy(update={field: sha256})})
            for one, sha256 in zip(trials, hashes, strict=True)
        ],
    )


@pytest.mark.parametrize(("field", "words"), INPUTS.items())
def test_trials_of_one_arm_with_different_inputs_are_refused(field: str, words: str) -> None:
    with pytest.raises(DataError, match="cannot be compared") as refused:
        assemble_guide(with_two(field, "ab" * 32, "cd" * 32))
    assert refused.value.exit_code == 4
    assert f"different {words}, {'ab' * 8} and {'cd' * 8} (both of {CELL.label})" in refused.value.message


@pytest.mark.parametrize("field", INPUTS)
def test_an_arm_may_have_inputs_of_its_own(field: str) -> None:
    assert assemble_guide(with_two(field, "ab" * 32, "cd" * 32, same_arm=False)).name == "block_temp"


@pytest.mark.parametrize("field", INPUTS)
@pytest.mark.parametrize(("first", "second"), [("", "cd" * 32), ("ab" * 32, "")])
def test_a_hash_that_an_older_record_lacks_is_not_compared(field: str, first: str, second: str) -> None:
    assert assemble_guide(with_two(field, first, second)).name == "block_temp"


def test_a_trial_without_a_hash_does_not_hide_two_others_that_differ() -> None:
    record = with_two("init_sha256", "", "cd" * 32)
    other = trial(CELL, 2).model_copy(update={"facts": FACTS.model_copy(update={"init_sha256": "ef" * 32})})
    with pytest.raises(DataError, match="weights to start from"):
        assemble_guide(make_record(record.study, [*record.trials, other]))
