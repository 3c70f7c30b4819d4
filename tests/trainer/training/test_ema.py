import pytest
import torch

from trainer.training.ema import ema_decay, update_ema


def test_average_equals_the_weighted_sum_written_out():
    weights = [torch.tensor([float(i)]) for i in (1, 4, 2)]
    average = torch.tensor([0.0])
    for weight in weights:
        update_ema(average, weight, 1 - 0.9)
    assert float(average) == pytest.approx(0.1 * (0.81 * 1 + 0.9 * 4 + 2))


def test_a_share_that_lies_on_the_device_moves_as_a_number_does():
    one, other, weights = torch.zeros(5), torch.zeros(5), torch.randn(5, generator=torch.Generator().manual_seed(0))
    update_ema(one, weights, 0.25)
    update_ema(other, weights, torch.tensor(0.25))
    assert torch.equal(one, other)


def test_decay_is_ramped_to_its_final_value():
    decays = [ema_decay(step, 0.99) for step in (1, 10, 10_000)]
    assert decays == pytest.approx([2 / 11, 11 / 20, 0.99])
