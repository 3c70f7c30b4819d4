"""Other forms of the Dispersive Loss against loops in float64: summed distances, layer normalisation, median tau."""

from __future__ import annotations

import math

import pytest
import torch

from trainer.recipe import VARIANTS, Dispersion
from trainer.regularisers.dispersive import dispersive_loss, layer_normalised
from trainer.regularisers.floor import Compared, at_floor, bounds
from trainer.regularisers.formula import Formula, TapShape
from trainer.regularisers.representation import squared_distances

B, TOKENS, WIDTH = 9, 3, 5
E = TOKENS * WIDTH
WIDE = torch.float64


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=WIDE)


def tau(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=WIDE)


def log_mean_exp(z: torch.Tensor, unit: float) -> float:
    total = sum(math.exp(-float(((a - b) ** 2).sum()) / unit) for a in z for b in z)
    return math.log(total / len(z) ** 2)


def normalised(tokens_ND: torch.Tensor) -> torch.Tensor:
    """Written out token by token."""
    rows = []
    for token in tokens_ND:
        centred = token - sum(token) / len(token)
        rows.append(centred / math.sqrt(float(sum(centred**2)) / len(token) + 1e-6))
    return torch.stack(rows)


def test_without_the_division_the_loss_is_that_of_the_printed_algorithm():
    z = random(2, B, E)
    found = dispersive_loss(z, tau(5.0, 40.0), "l2", distance="sum")
    assert found.tolist() == pytest.approx([log_mean_exp(z[0], 5.0), log_mean_exp(z[1], 40.0)], rel=1e-12)


def test_a_summed_hinge_is_of_distances_that_are_not_divided():
    z = random(1, B, E)
    expected = sum(max(0.0, 40.0 - float(((a - b) ** 2).sum())) ** 2 for a in z[0] for b in z[0]) / B**2
    assert float(dispersive_loss(z, tau(40.0), "hinge", distance="sum")) == pytest.approx(expected, rel=1e-12)


def test_layer_normalisation_is_that_of_each_token_over_its_width():
    z = random(1, 2, TOKENS, WIDTH)
    expected = torch.stack([normalised(sample) for sample in z[0]])
    torch.testing.assert_close(layer_normalised(z)[0], expected, rtol=1e-12, atol=1e-12)
    low = layer_normalised(z.bfloat16())
    assert low.dtype == torch.float32
    torch.testing.assert_close(low, layer_normalised(z.bfloat16().float()))


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_loss_of_normalised_features_is_the_loss_of_what_they_become_and_growing_them_does_not_pay(variant):
    setting = Dispersion(lam=0.1, tau=0.7, variant=variant, features="layer_norm")
    formula, z = Formula.of(setting, TapShape(TOKENS, WIDTH), B), random(1, B, TOKENS, WIDTH)
    found = [float(formula.loss(formula.features_of(scale * z), tau(0.7), None)) for scale in (1.0, 100.0)]
    by_hand = torch.stack([normalised(sample) for sample in z[0]]).flatten(1)[None]
    assert found[0] == pytest.approx(float(dispersive_loss(by_hand, tau(0.7), variant)), rel=1e-10)
    assert found[1] == pytest.approx(found[0], rel=1e-4)


def test_a_median_tau_is_an_absolute_one_times_the_median_distance():
    z = random(2, B, E)
    for count in (B, B - 1, 3):  # of pairs there are 36, 28 and 3
        z_part = z[:, :count]
        unit = torch.stack([(torch.pdist(one).square() / E).median() for one in z_part])
        found = dispersive_loss(z_part, tau(0.7, 0.7), "l2", "median")
        expected = [log_mean_exp(z_part[k], E * 0.7 * float(unit[k])) for k in range(2)]
        assert found.tolist() == pytest.approx(expected, rel=1e-12)


def test_a_median_tau_cannot_be_gamed_by_growing_the_norm_and_its_gradient_is_orthogonal_to_the_batch():
    z = random(2, B, E).requires_grad_()
    small, large = (dispersive_loss(z * scale, tau(0.5, 2.0), "l2", "median") for scale in (1.0, 1e3))
    torch.testing.assert_close(small, large, rtol=1e-12, atol=0)
    (gradient,) = torch.autograd.grad(small.sum(), z)
    assert (gradient * z).sum((1, 2)).abs().max() < 1e-12
    assert gradient.abs().max() > 1e-3
    # With the gradient stopped at the median the norm would pay.
    stopped = squared_distances(z) / squared_distances(z.detach())[:, 0, 1, None, None]
    (pushes,) = torch.autograd.grad((-stopped).flatten(1).logsumexp(1).sum(), z)
    assert ((pushes * z).sum((1, 2)) < -0.1).all()


@pytest.mark.parametrize("features", ["raw", "layer_norm"])
@pytest.mark.parametrize(
    ("variant", "units", "distance", "value"),
    [
        ("l2", "absolute", "sum", 10.0),
        ("l2", "median", "mean", 0.7),
        ("l2", "absolute", "mean", 0.5),
        ("cosine", "absolute", "mean", 0.5),
        ("hinge", "absolute", "sum", 30.0),
        ("covariance", "absolute", "mean", 1.0),
    ],
)
def test_the_gradient_is_that_of_finite_differences(features, variant, units, distance, value):
    setting = Dispersion(lam=0.1, tau=value, variant=variant, tau_units=units, distance=distance, features=features)
    formula = Formula.of(setting, TapShape(TOKENS, WIDTH), B)
    z = random(1, B, TOKENS, WIDTH, seed=2).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: formula.loss(formula.features_of(x), tau(value), None), (z,))
    floor, span = formula.bounds(tau(value))
    for seed in range(20):
        above = formula.loss(formula.features_of(random(1, B, TOKENS, WIDTH, seed=seed)), tau(value), None) - floor
        assert float(above) > -1e-12
    same = torch.ones(1, B, TOKENS, WIDTH, dtype=WIDE) * torch.arange(WIDTH)
    if variant != "covariance":
        top = formula.loss(formula.features_of(same), tau(value), None) - floor
        torch.testing.assert_close(top, span, rtol=1e-5, atol=1e-9)


def test_the_floor_of_normalised_features_is_attained_by_a_simplex_of_tokens_with_mean_0():
    # Nine corners about their centre, each a token of ten numbers whose mean is 0.
    corners = torch.cat([torch.eye(B, dtype=WIDE), -torch.ones(B, 1, dtype=WIDE)], 1)
    corners[:, :B] -= corners[:, :B].mean(0)
    corners[:, B] = 0
    tokens = corners[None, :, None, :]
    for variant, value in (("l2", 0.5), ("l2", 8.0), ("hinge", 3.0), ("cosine", 0.5)):
        setting = Dispersion(lam=0.1, variant=variant, features="layer_norm")
        formula = Formula.of(setting, TapShape(1, 10), B)
        loss = formula.loss(formula.features_of(tokens), tau(value), None)
        torch.testing.assert_close(loss, formula.bounds(tau(value)).floor, rtol=1e-4, atol=1e-4)


def test_in_median_units_the_floor_is_approached_by_groups_that_leave_each_other_and_not_by_a_simplex():
    # Of nine samples a group of six and one of three have half of the 36 pairs within them.
    corners = torch.eye(B, E, dtype=WIDE)
    apart = corners.clone()
    apart[:6, E - 1] += 1e4
    for value in (0.1, 1.0, 20.0):
        floor, span = bounds(tau(value), "l2", "median", Compared(B, 1, E))
        near, simplex = (float(dispersive_loss(one[None], tau(value), "l2", "median")) for one in (apart, corners))
        assert near == pytest.approx(float(floor), abs=1e-6 * float(span))
        assert simplex > near + 0.1 * float(span) or value == 0.1
        assert bool(at_floor(torch.tensor(near) - floor, span))


def test_two_samples_have_one_distance_which_is_the_floor_in_its_own_units():
    for units in ("relative", "median"):
        loss = dispersive_loss(random(1, 2, E), tau(0.5), "l2", units)
        torch.testing.assert_close(loss, bounds(tau(0.5), "l2", units, Compared(2, 1, E)).floor)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"tau_units": "median", "variant": "hinge"}, "tau_units 'median' is defined for variant 'l2', not 'hinge'"),
        ({"distance": "sum", "variant": "cosine"}, "distance 'sum' needs a squared distance"),
        ({"distance": "sum", "tau_units": "median"}, "distance 'sum' changes nothing where tau_units is 'median'"),
        ({"negatives": 8, "variant": "covariance"}, "negatives 8 need pairs of samples"),
        ({"negatives": 8, "local_batch": 4}, "negatives 8 go with local_batch 'all'"),
        ({"lam_warmup": 0.5, "lam_end": 0.5}, "lambda_warmup 0.5 must be below lambda_end 0.5"),
    ],
)
def test_fields_that_contradict_one_another_are_refused(fields, words):
    with pytest.raises(ValueError, match=words):
        Dispersion(lam=0.1, **fields)
