"""Steps as a GPU takes them: inputs from buffers, on a CPU and, where there is one, captured on a GPU."""

import pytest
import torch

from tests.trainer.asking import Asking
from tests.trainer.training.steps import train_step
from trainer.backbones.build import backbone_of
from trainer.data.dataset import Dataset
from trainer.evaluation.evaluator import Evaluator
from trainer.objectives.interpolant import Interpolant
from trainer.recipe import Dispersion, EvalRecipe, Lane, Recipe, SiTRecipe, TrainRecipe
from trainer.training import steppers as module
from trainer.training.batches import TrainingSplit
from trainer.training.cohort import Cohort
from trainer.training.prefetch import Prefetch
from trainer.training.steppers import EagerStepper, GraphStepper
from trainer.training.train_step import TrainStep

CPU = torch.device("cpu")
on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
RECIPE = Recipe(
    model=SiTRecipe(width=16, depth=2, heads=2),
    train=TrainRecipe(steps=100, batch=8, warmup=5, lr=4e-3),
    eval=EvalRecipe(samples=100, batch=50, nfe=2, probe=16),
)
LANES = (
    Lane(Dispersion(), 0),
    Lane(Dispersion(blocks=(1,), lam=0.25, tau=0.5), 0),
    Lane(Dispersion(blocks=(0, 1), lam=0.1, tau=1.0, variant="hinge"), 1),
    Lane(Dispersion(blocks=(0,), lam=0.05, tau=0.5, tau_units="relative"), 1),
    Lane(Dispersion(blocks=(0, 1), lam=0.05, tau=0.5, variant="cosine"), 1),
    Lane(Dispersion(blocks=(0,), lam=0.05, variant="covariance"), 2),
)


@pytest.fixture
def build(digits, extractor_cache, monkeypatch):
    """Cohorts that take their steps as on a GPU."""
    monkeypatch.setattr("trainer.training.cohort.stepper", GraphStepper)

    def cohort(lanes=LANES, recipe=RECIPE, data: Dataset = digits, device=CPU) -> Cohort:
        return Cohort(recipe, lanes, data, device, Evaluator(recipe.eval, data, extractor_cache, device))

    return cohort


def weights(cohort: Cohort) -> torch.Tensor:
    return cohort.state_dict()["weights"]


def test_every_lane_equals_its_solo_run_to_the_last_digits_digits_in_float64(build, digits_in_float64):
    together = build(data=digits_in_float64)
    together.advance(20)
    for lane, one in enumerate(LANES):
        alone = build([one], data=digits_in_float64)
        alone.advance(20)
        torch.testing.assert_close(weights(together)[lane], weights(alone)[0], rtol=1e-9, atol=1e-11)


def test_resumed_and_thinned_out_it_is_the_same_run(build):
    whole, first, second = build(), build(), build()
    whole.advance(37)
    first.advance(35)
    second.load_state_dict({name: part.clone() for name, part in first.state_dict().items()})
    second.advance(37)
    assert torch.equal(weights(whole), weights(second))
    for cohort in (whole, first):
        cohort.advance(40)
        cohort.keep([1, 3])
        cohort.advance(45)
    assert torch.equal(weights(whole), weights(first))


def test_it_learns_as_fast_as_an_eager_stepper(build, monkeypatch):
    other = build(LANES[:1])
    monkeypatch.undo()
    plain = build(LANES[:1])
    assert isinstance(plain._take_step, EagerStepper)
    assert isinstance(other._take_step, GraphStepper)
    losses = []
    for cohort in (plain, other):
        cohort.advance(100)
        losses.append(float(cohort._means.read()["train_loss"][0]))
    assert losses[0] == pytest.approx(losses[1], rel=0.1)
    assert losses[0] != losses[1]


def test_what_is_trained_on_eagerly_is_what_the_step_is_given(digits):
    """Both ways drive the same step: given one's inputs, the other's result is the same bit for bit."""
    split, seeds = TrainingSplit.of(digits, CPU), [lane.seed for lane in LANES]
    given = []
    EagerStepper(given.append, Interpolant.draws, split, RECIPE.train, seeds)(4)
    drawn, taken = given[0], Prefetch(Interpolant.draws, split, RECIPE.train, seeds)
    taken.fill(4)
    results = []
    for lr, share in ((drawn.lr, drawn.share), (lambda it: (it.lr.double(), it.share))(taken.take())):
        step = made(LANES)
        step(drawn._replace(lr=lr, share=share))
        results.append(step.learnt)
    torch.testing.assert_close(results[0], results[1], rtol=1e-6, atol=1e-9)


def made(lanes, recipe=RECIPE) -> TrainStep:
    return train_step(backbone_of(recipe, (1, 8, 8), 10, CPU), lanes, recipe.train)


def test_steps_are_counted_in_float32_whatever_the_weights_are():
    torch.set_default_dtype(torch.float64)  # as the check on a GPU does, whose fused AdamW reads the count as float32
    try:
        (state,) = made(LANES[:1])._optimiser.state.values()
    finally:
        torch.set_default_dtype(torch.float32)
    assert (state["step"].dtype, state["exp_avg"].dtype) == (torch.float32, torch.float64)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_step_asks_the_host_for_nothing(digits, precision):
    """What cannot be seen here of a capture: it fails where the host is asked, so nothing may ask it."""
    recipe = RECIPE.override({"train.precision": precision})
    step = made(LANES, recipe)
    prefetch = Prefetch(Interpolant.draws, TrainingSplit.of(digits, CPU), recipe.train, [lane.seed for lane in LANES])
    prefetch.fill(0)
    with Asking() as asking:
        step(prefetch.take())
    assert asking.seen > 300
    assert asking.asked == []


@on_gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_captured_step_equals_the_same_step_called(build, precision, monkeypatch):
    recipe = RECIPE.override({"train.precision": precision})
    device = torch.device("cuda")
    captured = build(recipe=recipe, device=device)
    captured.advance(40)
    assert captured._take_step._captured.captured
    monkeypatch.setattr(module.Captured, "__call__", lambda self: self._function())
    called = build(recipe=recipe, device=device)
    called.advance(40)
    torch.testing.assert_close(weights(captured), weights(called), rtol=1e-3, atol=1e-4)


@on_gpu
def test_on_a_gpu_every_lane_equals_its_solo_run_to_the_last_digits_digits_in_float64(build, digits_in_float64):
    device = torch.device("cuda")
    together = build(data=digits_in_float64, device=device)
    together.advance(20)
    for lane, one in enumerate(LANES):
        alone = build([one], data=digits_in_float64, device=device)
        alone.advance(20)
        torch.testing.assert_close(weights(together)[lane], weights(alone)[0], rtol=1e-9, atol=1e-11)
