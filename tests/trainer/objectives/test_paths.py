import torch

from trainer.objectives.paths import interpolate


def test_path_runs_from_noise_to_data_with_constant_velocity():
    data, noise = torch.randn(2, 3, 1, 4, 4), torch.randn(2, 3, 1, 4, 4)
    start = interpolate(data, noise, torch.zeros(2, 3))
    end = interpolate(data, noise, torch.ones(2, 3))
    torch.testing.assert_close(start.x_t, noise)
    torch.testing.assert_close(end.x_t, data)
    torch.testing.assert_close(start.x_t + start.velocity, data)


def test_velocity_is_the_derivative_of_the_path():
    data, noise = (torch.randn(1, 2, 1, 2, 2, dtype=torch.float64) for _ in range(2))
    t, step = torch.full((1, 2), 0.3, dtype=torch.float64), 1e-6
    difference = (interpolate(data, noise, t + step).x_t - interpolate(data, noise, t - step).x_t) / (2 * step)
    torch.testing.assert_close(difference, interpolate(data, noise, t).velocity, atol=1e-8, rtol=1e-8)
