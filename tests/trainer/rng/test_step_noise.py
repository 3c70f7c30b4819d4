import torch

from trainer.rng.step_noise import StepNoise, step_keys

CPU = torch.device("cpu")


def drawn(seeds, chunk, step, places, batch=10):
    noise = StepNoise(step_keys(seeds, chunk, CPU), batch, torch.tensor(places))
    return noise(step, (len(seeds), len(places), 1, 3, 5))


def test_a_sample_has_its_noise_whoever_is_drawn_beside_it():
    whole = drawn([4, 7, 4], 0, 3, range(10))
    part = drawn([7], 0, 3, [2, 5])
    assert torch.equal(part[0], whole[1, [2, 5]])
    assert torch.equal(whole[0], whole[2])


def test_steps_chunks_and_seeds_have_noise_of_their_own():
    parts = [drawn([seed], chunk, step, range(10)).flatten() for seed in (0, 1) for chunk in (0, 1) for step in (0, 1)]
    together = torch.corrcoef(torch.stack(parts)) - torch.eye(len(parts))
    assert float(together.abs().max()) < 0.35
    assert len({float(part[0]) for part in parts}) == len(parts)


def test_it_is_standard_normal():
    found = drawn([0], 0, 1, range(20_000), batch=20_000)
    assert abs(float(found.mean())) < 0.01
    assert abs(float(found.std()) - 1) < 0.01
