import pytest
import torch

from trainer.recipe import EvalRecipe, Recipe, SiTRecipe, TrainRecipe
from trainer.training.batches import TrainingSplit
from trainer.training.lane_search import MOST, LaneCost, best_lanes, lane_cost, measured_lanes

CPU = torch.device("cpu")
GIB = 2**30


class Card:
    """A device whose steps take `launch` seconds of launches, and `work` for every lane once that is more."""

    def __init__(
        self, launch: float, work: float, lane_gib: float = 1.0, fixed_gib: float = 2.0, fits: int = MOST
    ) -> None:
        self.launch, self.work, self.lane, self.fixed, self.fits = launch, work, lane_gib, fixed_gib, fits
        self.asked: list[int] = []

    def __call__(self, lanes: int) -> LaneCost | None:
        self.asked.append(lanes)
        if lanes > self.fits:
            return None
        step = max(self.launch, self.work * lanes)
        return LaneCost(lanes, step, 0.0, int((self.fixed + self.lane * lanes) * GIB))


def best(card: Card, gib: float = 1e6) -> int:
    return best_lanes(card, lambda cost: cost.step_s / cost.lanes, int(gib * GIB)).lanes


def test_lanes_are_doubled_while_they_pay():
    card = Card(launch=1.0, work=0.1)
    assert best(card) == 16  # 8 lanes fill it to .8 s; 16 take 1.6 s, and 32 gain nothing
    assert card.asked == [1, 2, 4, 8, 16, 32]


def test_a_gain_of_less_than_5_percent_is_not_worth_twice_the_lanes():
    assert best(Card(launch=1.0, work=0.49)) == 2
    assert best(Card(launch=1.0, work=1.0)) == 1


def test_what_memory_cannot_hold_is_foreseen_and_not_tried():
    card = Card(launch=1.0, work=0.0)
    assert best(card, gib=20) == 16  # 2 + 16 GiB; 32 lanes would take 34
    assert card.asked == [1, 2, 4, 8, 16]


def test_what_does_not_fit_after_all_is_not_used():
    assert best(Card(launch=1.0, work=0.0, lane_gib=0.0, fits=4)) == 4


def test_there_is_an_end_to_doubling():
    assert best(Card(launch=1.0, work=0.0, lane_gib=0.0)) == MOST


def test_a_trial_takes_its_share_of_steps_and_samples():
    recipe = Recipe(train=TrainRecipe(steps=100), eval=EvalRecipe(samples=1000, batch=100))
    cost = LaneCost(lanes=4, step_s=0.02, samples_s=0.4, memory=0)
    assert cost.trial_seconds(recipe, evaluations=2) == pytest.approx((100 * 0.02 + 2 * 10 * 0.4) / 4)


def test_a_recipe_is_measured_on_a_cpu_too(digits):
    recipe = Recipe(
        model=SiTRecipe(width=16, depth=2, heads=2),
        train=TrainRecipe(steps=50, batch=4),
        eval=EvalRecipe(samples=100, batch=10, nfe=2),
    )
    cost = lane_cost(recipe, digits, TrainingSplit.of(digits, CPU), 2)
    assert cost.lanes == 2
    assert cost.step_s > 0
    assert cost.samples_s > 0
    assert 1 <= measured_lanes(recipe, digits, CPU).lanes <= MOST
    assert lane_cost(recipe, digits, TrainingSplit.of(digits, CPU), 2, bank=(64, 2)).lanes == 2
