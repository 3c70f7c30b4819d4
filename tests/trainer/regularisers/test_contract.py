"""What every regulariser of `cases.CASES` must be, whatever it adds."""

from __future__ import annotations

from typing import get_args

import pytest
import torch

from tests.trainer.regularisers.cases import CASES, Case
from tests.trainer.regularisers.places import Places
from trainer.backbones.protocol import Slot
from trainer.backbones.sit import SiT
from trainer.recipe import Lane, SiTRecipe, TrainRecipe
from trainer.recipe.auxiliary_losses import AuxiliaryLoss
from trainer.regularisers.build import dispersive_names
from trainer.regularisers.protocol import Added, Regulariser, State
from trainer.training.lane_state import initial_lanes

CPU, BATCH = torch.device("cpu"), 6
TRAIN = TrainRecipe(batch=BATCH)


def test_every_auxiliary_loss_has_a_case() -> None:
    assert {type(loss) for each in CASES for loss in each.added.values()} == {*get_args(AuxiliaryLoss)}


@pytest.fixture
def backbone() -> SiT:
    return SiT(SiTRecipe(width=16, depth=2, heads=2), (1, 8, 8), 10, 1000.0, CPU)


@pytest.fixture
def term(case: Case, backbone: SiT) -> Regulariser:
    return case.make(case.lanes, case.train(TRAIN), backbone, Places, CPU)


def seed(number: int) -> torch.Generator:
    return torch.Generator().manual_seed(number)


def state_of(term: Regulariser, case: Case) -> State:
    states = [term.initial_state(seed(lane.seed)) for lane in case.lanes]
    parts = ([state.weights for state in states], [state.buffers for state in states])
    return State(*({name: torch.stack([one[name] for one in part]) for name in part[0]} for part in parts))


def call(term: Regulariser, state: State) -> Added:
    random = seed(0)
    taps, second = ({tap: torch.randn(4, BATCH, 16, 16, generator=random) for tap in term.taps} for _ in range(2))
    return term(taps, torch.randn(4, BATCH, 1, 8, 8, generator=random), state, second if term.views > 1 else {})


def test_what_one_lane_begins_with_is_a_function_of_the_generator_alone(term):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    one, again, other = (term.initial_state(seed(number)) for number in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    for part, same in zip(one, again, strict=True):
        assert part.keys() == same.keys()
        assert all(torch.equal(part[name], same[name]) for name in part)
    assert not term.layout or any(not torch.equal(one.weights[name], other.weights[name]) for name in term.layout)


def test_weights_are_those_of_the_layout(term):
    assert all(isinstance(slot, Slot) for slot in term.layout.values())
    weights = term.initial_state(seed(0)).weights
    assert {name: tuple(part.shape) for name, part in weights.items()} == {
        name: slot.shape for name, slot in term.layout.items()
    }
    assert all((part.dtype, part.requires_grad) == (torch.float32, False) for part in weights.values())


def test_a_call_returns_what_it_names_a_value_a_lane_and_nothing_of_a_lane_without_it(case, term):
    added = call(term, state_of(term, case))
    assert (tuple(added.recorded), tuple(added.counted)) == (term.recorded, term.counted)
    for value in (added.weight, added.term, *added.recorded.values(), *added.counted.values()):
        assert value.shape == (4,)
    swept = dispersive_names(term)
    for name, value in added.recorded.items():
        assert value.isnan().tolist() == [name in swept, False, False, False]
    assert not any(value[0] for value in added.counted.values())
    assert not any(value.requires_grad for value in (*added.recorded.values(), *added.counted.values()))
    assert bool((added.weight * added.term)[0]) == bool(case.added)


def test_a_call_changes_nothing_and_renews_all_buffers_in_their_shape_and_type(case, term):
    state = state_of(term, case)
    before = {name: part.clone() for name, part in state.buffers.items()}
    renewed = call(term, state).buffers
    assert renewed.keys() == before.keys()
    for name, part in before.items():
        assert torch.equal(state.buffers[name], part)
        assert (renewed[name].shape, renewed[name].dtype) == (part.shape, part.dtype)
        assert renewed[name].data_ptr() != state.buffers[name].data_ptr()
        assert not torch.equal(renewed[name], part)


def test_where_no_lane_has_it_nothing_is_asked_for_or_nothing_added(case, backbone):
    none = case.make([Lane(case.lanes[0].setting, lane.seed) for lane in case.lanes], TRAIN, backbone, Places, CPU)
    added = call(none, state_of(none, case))
    assert added.term is None or not (added.weight * added.term).any()
    assert all(value.isnan().all() for value in added.recorded.values())


def test_the_regularisers_weights_lie_behind_the_backbones_and_lanes_of_a_seed_share_them(case, term, backbone):
    lanes = initial_lanes(backbone, term, [lane.seed for lane in case.lanes], CPU)
    size = backbone.initial_weights(seed(0)).numel()
    own = sum(part.numel() for part in term.initial_state(seed(0)).weights.values())
    assert (lanes.weights.shape, lanes.ema.shape) == ((4, size + own), (4, size))
    assert torch.equal(lanes.weights[:, :size], lanes.ema)
    assert torch.equal(lanes.weights[0], lanes.weights[1])
    assert not own or not torch.equal(lanes.weights[1, size:], lanes.weights[2, size:])


def test_a_regulariser_looks_at_one_view_or_at_two(case, term):
    assert term.views == (2 if "contrastive" in case.added else 1)
