from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from trainer.evaluation.frechet import Moments, Reference
from trainer.evaluation.torch_fidelity import torch_fidelity


def features(count: int, dim: int, seed: int = 0, offset: float = 0.0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    mix = torch.randn(dim, dim, generator=random, dtype=torch.float64) / dim**0.5
    return torch.randn(count, dim, generator=random, dtype=torch.float64) @ mix + offset


def moments(batch: Tensor) -> Moments:
    made = Moments(1, batch.shape[1], batch.device)
    made.add(batch[None])
    return made


def distance(samples: Tensor, reference: Tensor) -> float:
    against = moments(reference)
    return between(Reference(against.mean[0], against.covariance[0]), samples)


def between(reference: Reference, samples: Tensor) -> float:
    (found,) = reference.frechet_distance(moments(samples))
    return found


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(0, 50), max_size=5), offset=st.sampled_from([0.0, 3.0, 1e6]))
def test_moments_do_not_depend_on_how_the_stream_is_cut_or_how_far_from_zero_it_is(
    cuts: list[int], offset: float
) -> None:
    x = features(50, 6, offset=offset)
    streamed = Moments(1, 6, "cpu")
    for part in torch.tensor_split(x, sorted(cuts)):
        streamed.add(part[None])
    assert streamed.count == 50
    np.testing.assert_allclose(streamed.mean[0], x.numpy().mean(0), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(
        streamed.covariance[0], np.cov(x.numpy(), rowvar=False), atol=1e-9 if offset < 10 else 1e-7
    )


def test_float32_features_are_summed_in_float64() -> None:
    x = (features(5000, 3) + 1000).float()
    streamed = Moments(1, 3, "cpu")
    for part in x.split(7):
        streamed.add(part[None])
    torch.testing.assert_close(streamed.covariance[0], x.double().T.cov(), rtol=1e-10, atol=1e-10)


def test_the_distance_of_gaussians_with_equal_axes_has_its_closed_form() -> None:
    mean, deviations = torch.tensor([1.0, -2.0, 0.5]), torch.tensor([0.5, 1.0, 3.0])
    reference = Reference(torch.zeros(3), torch.diag(torch.tensor([4.0, 1.0, 0.25])))
    # Whitened points with exactly the moments wanted, so that only rounding is left.
    z = features(40, 3)
    z = (z - z.mean(0)) @ torch.linalg.inv(torch.linalg.cholesky(z.T.cov())).T
    expected = mean.square().sum() + (deviations - torch.tensor([2.0, 1.0, 0.5])).square().sum()
    assert between(reference, z * deviations + mean) == pytest.approx(float(expected), rel=1e-10)


def test_the_distance_equals_scipys_matrix_square_root() -> None:
    x, y = features(300, 20, seed=1, offset=0.2), features(300, 20, seed=2)
    c1, c2 = x.T.cov().numpy(), y.T.cov().numpy()
    gap = (x.mean(0) - y.mean(0)).square().sum().item()
    expected = gap + np.trace(c1 + c2 - 2 * scipy.linalg.sqrtm(c1 @ c2).real)
    assert distance(x, y) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(("count", "dim", "tolerance"), [(500, 64, 1e-9), (500, 256, 1e-9), (50, 64, 1e-6)])
def test_the_distance_equals_torch_fidelitys_even_with_fewer_samples_than_features(
    count: int, dim: int, tolerance: float
) -> None:
    torch_fidelity()
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    x, y = features(count, dim, seed=1, offset=0.1), features(700, dim, seed=2)
    theirs = fid_statistics_to_metric(fid_features_to_statistics(x), fid_features_to_statistics(y), verbose=False)
    assert distance(x, y) == pytest.approx(theirs["frechet_inception_distance"], rel=tolerance)


def test_the_distance_is_symmetric_and_zero_to_itself() -> None:
    x, y = features(200, 8, seed=1), features(200, 8, seed=2)
    assert distance(x, y) == pytest.approx(distance(y, x), rel=1e-10)
    assert distance(x, x) == pytest.approx(0, abs=1e-10)


def test_the_distance_is_never_negative_but_stays_nan_where_there_is_none() -> None:
    assert min(distance(x, x) for x in (features(60, 30, seed=seed, offset=5.0) for seed in range(20))) >= 0
    x = features(60, 4)
    against = Reference(moments(x).mean[0] * torch.nan, moments(x).covariance[0])
    assert math.isnan(between(against, x))


def test_lanes_have_moments_and_distances_of_their_own() -> None:
    lanes = torch.stack([features(90, 5, seed=seed, offset=seed) for seed in range(3)])
    together = Moments(3, 5, "cpu")
    for part in lanes.split(40, dim=1):
        together.add(part)
    reference = Reference(moments(features(80, 5, seed=9)).mean[0], moments(features(80, 5, seed=9)).covariance[0])
    alone = [between(reference, lane) for lane in lanes]
    assert reference.frechet_distance(together) == pytest.approx(alone, rel=1e-12)
    assert reference.frechet_distance(together.select([2, 0])) == pytest.approx([alone[2], alone[0]], rel=1e-12)
    assert reference.frechet_distance(together.select([])) == []
