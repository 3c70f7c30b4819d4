"""Lambda over time: what it is at a step, and what is said of the floor of a lane that has a weight for a while."""

from __future__ import annotations

import pytest
import torch

from tests.trainer.regularisers.places import Places
from trainer.backbones.protocol import TapShape
from trainer.backbones.sit import SiT
from trainer.evaluation.evaluator import Evaluator
from trainer.recipe import Dispersion, EvalRecipe, Lane, Recipe, Repa, SiTRecipe, TrainRecipe
from trainer.regularisers.build import regulariser_of
from trainer.regularisers.dispersive_term import DispersiveTerm
from trainer.regularisers.lam_schedule import LamSchedule, over_active_steps
from trainer.regularisers.protocol import State
from trainer.training.cohort import Cohort

CPU = torch.device("cpu")
STEPS = 20
SETTINGS = [
    Dispersion(lam=0.5),
    Dispersion(lam=0.5, lam_warmup=0.25),
    Dispersion(lam=0.5, lam_end=0.3),
    Dispersion(lam=0.5, lam_warmup=0.1, lam_end=0.75),
    Dispersion(),
]


def lam(setting: Dispersion, step: int) -> float:
    """Written down step by step."""
    if step >= setting.lam_end * STEPS and setting.lam_end < 1:
        return 0.0
    rising = setting.lam_warmup * STEPS
    return setting.lam * (min(1.0, step / rising) if rising else 1.0)


def test_lambda_rises_linearly_from_0_stays_and_is_0_from_its_end_on():
    schedule = LamSchedule(SETTINGS, CPU)
    for step in range(STEPS):
        found = schedule.at(torch.tensor(step / STEPS))
        assert found.tolist() == pytest.approx([lam(setting, step) for setting in SETTINGS], rel=1e-6)


def test_where_no_lambda_changes_the_weight_is_the_same_tensor_at_every_step():
    steady = LamSchedule([SETTINGS[0], SETTINGS[4]], CPU)
    assert steady.at(torch.tensor(0.5)) is steady.peak


def test_steps_with_a_weight_are_counted_as_the_schedule_has_them():
    for setting in SETTINGS:
        for step in range(STEPS + 1):
            expected = sum(lam(setting, at) > 0 for at in range(step))
            assert setting.active_steps(step, STEPS) == expected


def test_the_floor_counts_only_while_lambda_is_above_0():
    term = DispersiveTerm(
        [Dispersion(lam=1.0, tau=1e-6, lam_end=0.5), Dispersion(lam=1.0, tau=1e-6)], 4, (TapShape(1, 8),), CPU
    )
    taps = {0: torch.randn(2, 4, 1, 8, generator=torch.Generator().manual_seed(0))}
    early, late = (term(taps, progress=torch.tensor(at)).counted["floor_share"].tolist() for at in (0.4, 0.5))
    assert (early, late) == ([True, True], [False, True])
    # What is recorded of the representation goes on: it is the loss that would be taken.
    assert not term(taps, progress=torch.tensor(0.6)).recorded["floor_distance"].isnan().any()


def test_beside_another_loss_lambda_changes_over_time_as_it_does_alone():
    backbone = SiT(SiTRecipe(width=16, depth=2, heads=2), (1, 8, 8), 10, 1000.0, CPU)
    repa = TrainRecipe(batch=4, repa=Repa.model_validate({"block": 1, "lambda": 0.5, "hidden": 8}))
    lanes = [Lane(setting, 0) for setting in SETTINGS]
    random = torch.Generator().manual_seed(0)
    taps = {tap: torch.randn(1, 4, 16, 16, generator=random).expand(len(lanes), -1, -1, -1) for tap in (0, 1)}
    images = torch.randn(1, 4, 1, 8, 8, generator=random).expand(len(lanes), -1, -1, -1, -1)

    def weighted(train: TrainRecipe, step: int) -> torch.Tensor:
        term = regulariser_of(lanes, train, backbone, Places, CPU)
        begun = term.initial_state(torch.Generator().manual_seed(0))
        weights = {name: part.expand(len(lanes), *part.shape) for name, part in begun.weights.items()}
        added = term(taps, images, State(weights, {}), progress=torch.tensor(step / STEPS))
        assert added.term is not None
        return added.weight * added.term

    for step in (0, 2, 5, 19):
        together = weighted(repa, step)
        aligned = together - weighted(TrainRecipe(batch=4), step)
        torch.testing.assert_close(aligned, together[-1].expand(len(lanes)))


def test_a_share_of_steps_at_the_floor_is_of_those_with_a_weight():
    setting = Dispersion(lam=1.0, lam_end=0.25)
    assert over_active_steps({"floor_share": 0.2, "x": 1.0}, setting, 20, 20) == {"floor_share": 0.8, "x": 1.0}
    assert over_active_steps({"floor_share": 0.2}, Dispersion(lam=1.0), 20, 20) == {"floor_share": 0.2}
    assert over_active_steps({"floor_share": 0.0}, Dispersion(lam=1.0, lam_warmup=0.5), 1, 20) == {}


def test_a_cohort_whose_lambda_ended_trains_on_as_the_baseline_and_reports_a_floor(digits, extractor_cache):
    recipe = Recipe(
        model=SiTRecipe(width=16, depth=2, heads=2),
        train=TrainRecipe(steps=10, batch=8, warmup=2),
        eval=EvalRecipe(samples=100, batch=50, nfe=2, probe=16),
    )
    evaluator = Evaluator(recipe.eval, digits, extractor_cache, CPU)

    def trained(setting: Dispersion, until: int) -> Cohort:
        cohort = Cohort(recipe, [Lane(setting, 0)], digits, CPU, evaluator)
        cohort.advance(until)
        return cohort

    saturated = Dispersion(lam=0.5, tau=1e-6, lam_end=0.5)
    ended, steady = trained(saturated, 5), trained(Dispersion(lam=0.5, tau=1e-6), 5)
    assert torch.equal(ended.state_dict()["weights"], steady.state_dict()["weights"])
    ended.advance(10)
    assert ended.measure()[0].metrics["floor_share"] == pytest.approx(1.0)
    late = trained(Dispersion(lam=0.5, tau=0.5, lam_warmup=0.9), 1)
    assert torch.equal(late.state_dict()["weights"], trained(Dispersion(), 1).state_dict()["weights"])
