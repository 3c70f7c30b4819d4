"""How lanes with every regulariser of `cases.CASES` must train: what it keeps is the lane's, wherever that goes."""

from __future__ import annotations

import pytest
import torch

from tests.trainer.asking import Asking
from tests.trainer.runtime.test_cuda_graph import Tape
from tests.trainer.training.steps import train_step
from trainer.backbones.build import backbone_of
from trainer.backbones.flat_parameters import leaves
from trainer.backbones.protocol import Network
from trainer.evaluation.evaluator import Evaluator
from trainer.objectives.interpolant import Interpolant
from trainer.recipe import EvalRecipe, Recipe, SiTRecipe, TrainRecipe
from trainer.regularisers.build import dispersive_names
from trainer.regularisers.protocol import State
from trainer.runtime import checkpoint
from trainer.runtime.cuda_graph import WARM_UPS, Captured
from trainer.training.batches import TrainingSplit, draw
from trainer.training.cohort import Cohort
from trainer.training.merge_lanes import gathered
from trainer.training.prefetch import Prefetch
from trainer.training.second_view import drawn_anew
from trainer.training.steppers import GraphStepper
from trainer.training.train_step import Inputs, TrainStep

CPU = torch.device("cpu")
RECIPE = Recipe(
    model=SiTRecipe(width=16, depth=2, heads=2),
    train=TrainRecipe(steps=60, batch=8, warmup=5, lr=4e-3),
    eval=EvalRecipe(samples=100, batch=50, nfe=2, probe=16),
)
DIGITS = {"rtol": 1e-9, "atol": 1e-11}


@pytest.fixture
def build(case, digits, extractor_cache, monkeypatch):
    monkeypatch.setattr("trainer.training.cohort.regulariser_of", case.make)
    evaluator = Evaluator(RECIPE.eval, digits, extractor_cache, CPU)
    recipe = RECIPE.model_copy(update={"train": case.train(RECIPE.train)})
    return lambda lanes=case.lanes, data=digits: Cohort(recipe, lanes, data, CPU, evaluator)


@pytest.fixture
def in_float64(digits_in_float64, build):
    return lambda lanes: build(lanes, digits_in_float64)


def lane_of(state: dict[str, torch.Tensor], row: int) -> dict[str, torch.Tensor]:
    """All that a lane is, by name."""
    return {name: part[row] for name, part in state.items() if name not in ("step", "living")}


def bits(state: dict[str, torch.Tensor]) -> dict[str, bytes]:
    return {name: part.numpy().tobytes() for name, part in state.items()}


def test_a_lane_goes_down_its_loss_plus_what_is_added_by_all_its_weights(case, digits):
    backbone, split = backbone_of(RECIPE, (1, 8, 8), 10, CPU), TrainingSplit.of(digits, CPU)
    train = case.train(RECIPE.train)
    step = train_step(backbone, case.lanes, train, noise=0.1, make=case.make)
    batch = draw(case.wanted(Interpolant.draws), split, [0], 0, 8, 0.1).for_lanes(torch.zeros(4).long())
    begun, buffers = step.learnt.weights.clone(), {name: part.clone() for name, part in step.learnt.buffers.items()}
    progress = torch.tensor(0.04)
    step(Inputs(batch, 1e-3, 0.1, progress))
    size = step.learnt.ema.shape[1]
    for lane, one in enumerate(case.lanes):
        term = case.make([one], train, backbone, None, CPU)
        rows = slice(lane, lane + 1)
        named, own = leaves(begun[rows, :size], backbone.layout), leaves(begun[rows, size:], term.layout)
        part = batch.for_lanes(torch.tensor([lane]))
        network = Network(backbone, named)
        learning = Interpolant().loss(network, *part, range(2))
        second = network(*Interpolant().seen(part.images, part.labels, drawn_anew(part.draws)), range(2)).taps
        state = State(own, {name: buffer[rows] for name, buffer in buffers.items()})
        added = term(learning.taps, part.images, state, second, progress)
        total = learning.loss if added.term is None else learning.loss + added.weight * added.term
        everything = [*named.values(), *own.values()]
        expected = torch.autograd.grad(total.sum(), everything, materialize_grads=True)
        found = step.learnt.exp_avg[lane] / (1 - RECIPE.train.beta1)
        torch.testing.assert_close(found, torch.cat([part.flatten() for part in expected]), rtol=1e-4, atol=1e-6)


def test_its_weights_learn_and_its_buffers_are_renewed_in_the_lanes_that_have_it(case, build):
    cohort = build()
    before = {name: part.clone() for name, part in cohort.state_dict().items()}
    cohort.advance(3)
    after = cohort.state_dict()
    size = after["ema"].shape[1]
    for lane in (1, 2, 3):
        moved = after["weights"][lane, size:] != before["weights"][lane, size:]
        assert not len(moved) or moved.float().mean() > 0.9
        for name in after:
            if name.startswith("buffer."):
                assert not torch.equal(after[name][lane], before[name][lane])
    if not case.added:
        assert torch.equal(after["weights"][0, size:], before["weights"][0, size:])


def test_every_lane_equals_its_solo_run_to_the_last_digits_in_float64(case, in_float64):
    together = in_float64(case.lanes)
    together.advance(12)
    for lane, one in enumerate(case.lanes):
        alone = in_float64([one])
        alone.advance(12)
        _same(lane_of(together.state_dict(), lane), lane_of(alone.state_dict(), 0))


def _same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for name in one:
        means = {"rtol": 1e-5, "atol": 1e-6} if name.startswith("tally.") else DIGITS
        torch.testing.assert_close(one[name], other[name], equal_nan=True, **means)


def test_resumed_from_a_file_equals_uninterrupted_bit_for_bit(build, tmp_path):
    whole, first, second = build(), build(), build()
    whole.advance(20)
    first.advance(11)
    checkpoint.save(tmp_path / "it", first.state_dict(), "me")
    second.load_state_dict(checkpoint.load(tmp_path / "it", "me"))
    second.advance(20)
    assert bits(whole.state_dict()) == bits(second.state_dict())


def test_survivors_keep_their_rows_bit_for_bit_and_train_on_as_alone(case, in_float64):
    cohort = in_float64(case.lanes)
    cohort.advance(6)
    before = cohort.state_dict()
    cohort.keep([3, 1])
    for row, lane in enumerate((1, 3)):
        assert bits(lane_of(cohort.state_dict(), row)) == bits(lane_of(before, lane))
    cohort.advance(12)
    for row, lane in enumerate((1, 3)):
        alone = in_float64([case.lanes[lane]])
        alone.advance(12)
        _same(lane_of(cohort.state_dict(), row), lane_of(alone.state_dict(), 0))


def test_a_cohort_that_only_the_lane_without_it_is_left_of_trains_on(build):
    cohort = build()
    cohort.advance(4)
    cohort.keep([0])
    cohort.advance(8)
    (left,) = cohort.measure()
    assert not left.diverged
    cohort.keep([])
    cohort.advance(9)
    assert cohort.state_dict()["living"].tolist() == []


def test_merged_lanes_keep_their_rows_bit_for_bit_and_train_on_as_alone(case, in_float64):
    lanes = case.lanes
    parted = [in_float64(lanes), in_float64(lanes[:2])]
    for cohort in parted:
        cohort.advance(6)
    states = [cohort.state_dict() for cohort in parted]
    state = gathered([(states[0], [3, 2]), (states[1], [1])])
    for row, (of, lane) in enumerate(((0, 3), (0, 2), (1, 1))):
        assert bits(lane_of(state, row)) == bits(lane_of(states[of], lane))
    chosen = (lanes[3], lanes[2], lanes[1])
    joined = in_float64(chosen)
    joined.load_state_dict(state)
    joined.advance(12)
    for row, one in enumerate(chosen):
        alone = in_float64([one])
        alone.advance(12)
        _same(lane_of(joined.state_dict(), row), lane_of(alone.state_dict(), 0))


def test_what_is_kept_and_drawn_is_the_backbones_alone(build):
    cohort = build()
    cohort.advance(5)
    backbone = backbone_of(RECIPE, (1, 8, 8), 10, CPU)
    back = backbone.from_state_dict(cohort.published(1), "it")
    assert torch.equal(back, cohort.state_dict()["ema"][1])
    assert cohort.draw(1, 3).shape == (3, 1, 8, 8)


def test_its_figures_belong_to_the_lanes_that_have_it(build):
    cohort = build()
    cohort.advance(5)
    names = {*cohort._regulariser.recorded, *cohort._regulariser.counted}
    without, *others = cohort.measure()
    assert names & without.metrics.keys() == names - dispersive_names(cohort._regulariser)
    assert all(names <= other.metrics.keys() for other in others)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_step_asks_the_host_for_nothing(case, digits, precision):
    train = case.train(RECIPE.train).model_copy(update={"precision": precision})
    step = train_step(backbone_of(RECIPE, (1, 8, 8), 10, CPU), case.lanes, train, make=case.make)
    prefetch = Prefetch(
        case.wanted(Interpolant.draws), TrainingSplit.of(digits, CPU), train, [lane.seed for lane in case.lanes]
    )
    prefetch.fill(0)
    with Asking() as asking:
        step(prefetch.take())
    assert asking.seen > 100
    assert asking.asked == []


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_replayed_step_equals_the_same_step_called(case, digits, precision, monkeypatch):
    train, tape = case.train(RECIPE.train).model_copy(update={"precision": precision}), Tape()

    def trained() -> TrainStep:
        step = train_step(backbone_of(RECIPE, (1, 8, 8), 10, CPU), case.lanes, train, noise=0.1, make=case.make)
        buffers = dict(step.learnt.buffers)
        seeds = [lane.seed for lane in case.lanes]
        stepper = GraphStepper(step, case.wanted(Interpolant.draws), TrainingSplit.of(digits, CPU), train, seeds)
        for number in range(WARM_UPS + 5):
            stepper(number)
        # A graph reads and writes where it was recorded.
        assert all(step.learnt.buffers[name] is part for name, part in buffers.items())
        assert not any(part.requires_grad for part in buffers.values())
        return step

    called = trained()
    monkeypatch.setattr(
        "trainer.training.steppers.Captured", lambda function, device: Captured(function, device, recorder=tape)
    )
    replayed = trained()
    assert tape.events == ["aside"] * WARM_UPS + ["record"] + ["replay"] * 5
    assert bits(called.learnt.named()) == bits(replayed.learnt.named())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_a_captured_step_equals_the_same_step_called(case, digits, monkeypatch):
    device, seeds, train = torch.device("cuda"), [lane.seed for lane in case.lanes], case.train(RECIPE.train)

    def trained() -> tuple[GraphStepper, TrainStep]:
        backbone = backbone_of(RECIPE, (1, 8, 8), 10, device)
        step = train_step(backbone, case.lanes, train, device, noise=0.1, make=case.make)
        stepper = GraphStepper(step, case.wanted(Interpolant.draws), TrainingSplit.of(digits, device), train, seeds)
        for number in range(20):
            stepper(number)
        return stepper, step

    stepper, captured = trained()
    assert stepper._captured.captured
    monkeypatch.setattr(Captured, "__call__", lambda self: self._function())
    _, called = trained()
    for name, part in captured.learnt.named().items():
        torch.testing.assert_close(part, called.learnt.named()[name], rtol=1e-3, atol=1e-4)
