"""A cohort made of lanes of others: their rows bit for bit, and from there the run each would have been alone."""

import pytest
import torch

from tests.trainer.training.cohorts import CPU, LANES, RECIPE
from trainer.data.images import Images
from trainer.training.cohort import Cohort
from trainer.training.merge_lanes import gathered
from trainer.training.running_means import RENAMED


def trained(build, lanes, step, keep=None):
    cohort = build(lanes)
    cohort.advance(step)
    if keep is not None:
        cohort.keep(keep)
    return cohort.state_dict()


def bits(part):
    # A lane without dispersion keeps NaN where its loss would be.
    return part.numpy().tobytes()


def test_rows_are_gathered_bit_for_bit(build):
    one, other = trained(build, LANES, 6, keep=[1, 3]), trained(build, LANES[:2], 6)
    state = gathered([(one, [3, 1]), (other, [0])])
    assert state["living"].tolist() == [0, 1, 2]
    assert int(state["step"]) == 6
    assert state.keys() == one.keys()
    for name in state.keys() - {"step", "living"}:
        assert bits(state[name]) == bits(torch.stack([one[name][1], one[name][0], other[name][0]]))


def test_lanes_of_several_cohorts_and_seeds_go_on_as_their_solo_runs_to_the_last_digits_in_float64(
    digits, small_evaluator
):
    torch.set_default_dtype(torch.float64)
    try:
        wide = digits.__class__(**{**digits.__dict__, "train_images": Images(digits.train_images[:].double(), None)})

        def made(lanes):
            return Cohort(RECIPE, lanes, wide, CPU, small_evaluator)

        parted = [made(LANES), made(LANES[:2])]
        for cohort in parted:
            cohort.advance(10)
        parted[0].keep([1, 2])
        chosen = (LANES[2], LANES[1], LANES[0])
        joined = made(chosen)
        joined.load_state_dict(gathered([(parted[0].state_dict(), [2, 1]), (parted[1].state_dict(), [0])]))
        joined.advance(20)
        for lane, one in enumerate(chosen):
            alone = made([one])
            alone.advance(20)
            torch.testing.assert_close(
                joined.state_dict()["weights"][lane], alone.state_dict()["weights"][0], rtol=1e-9, atol=1e-11
            )
    finally:
        torch.set_default_dtype(torch.float32)


def test_states_saved_before_values_were_renamed_join_with_those_saved_since(build):
    one, other = trained(build, LANES[:2], 4), trained(build, LANES[:1], 4)
    once = {f"tally.{now}": f"tally.{before}" for before, now in RENAMED.items()}
    old = {once.get(name, name): part for name, part in other.items()}
    assert old.keys() - one.keys() == set(once.values())
    joined, plain = (gathered([(one, [1]), (state, [0])]) for state in (old, other))
    assert {name: bits(part) for name, part in joined.items()} == {name: bits(part) for name, part in plain.items()}


def test_what_is_gathered_is_a_copy(build):
    state = trained(build, LANES[:2], 4)
    before = {name: bits(part) for name, part in state.items()}
    cohort = build(LANES[:1])
    cohort.load_state_dict(gathered([(state, [0])]))
    cohort.advance(8)
    assert {name: bits(part) for name, part in state.items()} == before


def test_lanes_at_different_steps_are_refused(build):
    with pytest.raises(ValueError, match=r"lanes at steps \[3, 5\] cannot train together"):
        gathered([(trained(build, LANES[:1], 3), [0]), (trained(build, LANES[:1], 5), [0])])


def test_a_lane_that_is_not_alive_is_refused(build):
    with pytest.raises(ValueError, match=r"lanes \[0\] are not alive; alive: \[1\]"):
        gathered([(trained(build, LANES[:2], 3, keep=[1]), [0])])


def test_states_that_hold_different_tensors_are_refused(build):
    one, other = trained(build, LANES[:1], 3), trained(build, LANES[:1], 3)
    with pytest.raises(ValueError, match="not every state has seconds"):
        gathered([(one, [0]), (other | {"seconds": torch.zeros(1, 3)}, [0])])


def test_lanes_of_different_layouts_are_refused(build):
    one, other = trained(build, LANES[:1], 3), trained(build, LANES[:1], 3)
    wider = other | {"weights": torch.zeros(1, other["weights"].shape[1] + 1), "buffer.bank": torch.zeros(1, 3)}
    with pytest.raises(ValueError, match=r"lanes whose buffer\.bank, weights differ in shape cannot train together"):
        gathered([(one | {"buffer.bank": torch.zeros(1, 2)}, [0]), (wider, [0])])


def test_a_buffer_may_have_the_name_of_a_value_that_was_renamed(build):
    state = trained(build, LANES[:1], 3) | {"buffer.velocity": torch.zeros(1, 2)}
    assert gathered([(state, [0])]).keys() == state.keys()
