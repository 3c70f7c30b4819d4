import pytest
import torch

from trainer.recipe import TrainRecipe
from trainer.training.lr_schedule import learning_rate


def test_learning_rate_equals_torch_schedulers():
    train = TrainRecipe(steps=100, warmup=10, lr=0.5)
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    warm = torch.optim.lr_scheduler.LinearLR(optimiser, 1 / 10, 1.0, total_iters=9)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=90)
    schedule = torch.optim.lr_scheduler.SequentialLR(optimiser, [warm, cosine], milestones=[10])
    for step in range(100):
        assert learning_rate(train, step) == pytest.approx(optimiser.param_groups[0]["lr"], abs=1e-6), step
        optimiser.step()
        schedule.step()


def test_a_short_run_warms_up_for_half_of_its_steps_and_still_decays():
    train = TrainRecipe(steps=10, warmup=50, lr=1.0)
    rates = [learning_rate(train, step) for step in range(10)]
    assert rates[4] == rates[5] == 1.0
    assert rates[:5] == sorted(rates[:5])
    assert rates[-1] < 0.15
    assert learning_rate(TrainRecipe(steps=1, warmup=50, lr=1.0), 0) == 1.0


def test_a_constant_rate_warms_up_and_stays():
    train = TrainRecipe(steps=100, warmup=10, lr=0.5, schedule="constant")
    rates = [learning_rate(train, step) for step in range(100)]
    assert rates[:10] == pytest.approx([0.05 * (step + 1) for step in range(10)])
    assert set(rates[10:]) == {0.5}
