import math

import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from trainer.recipe import VARIANTS
from trainer.regularisers.dispersive import dispersive_loss
from trainer.regularisers.floor import Compared, at_floor, bounds
from trainer.regularisers.representation import effective_rank, feature_norm, median_distance, squared_distances

B, E = 9, 14


def random_z(seed: int = 0, lanes: int = 2) -> torch.Tensor:
    return torch.randn(lanes, B, E, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def naive(z_BE: torch.Tensor, tau: float, variant: str) -> float:
    """The formulas of the paper and its public code, written out pair by pair."""
    if variant == "covariance":
        correlation = torch.corrcoef(z_BE.T)
        return float(sum(correlation[i, j] ** 2 for i in range(E) for j in range(E) if i != j)) / (E * (E - 1))
    total = 0.0
    for a in z_BE:
        for b in z_BE:
            squared = float(((a - b) ** 2).sum()) / E
            if variant == "l2":
                total += math.exp(-squared / tau)
            elif variant == "cosine":
                total += math.exp(float(F.cosine_similarity(a, b, dim=0)) / tau)
            elif variant == "hinge":
                total += max(0.0, tau - squared) ** 2
            else:
                raise AssertionError(f"write out the formula of {variant!r} here")
    mean = total / B**2
    return mean if variant == "hinge" else math.log(mean)


@pytest.mark.parametrize("variant", VARIANTS)
def test_loss_equals_the_formula_written_out_pair_by_pair(variant):
    z, tau = random_z(), torch.tensor([0.5, 2.0])
    loss = dispersive_loss(z, tau, variant)
    expected = [naive(z[k], float(tau[k]), variant) for k in range(2)]
    # Of covariance, what counts as constant is subtracted from what varies: a millionth.
    rtol = 1e-5 if variant == "covariance" else 1e-10
    torch.testing.assert_close(loss, torch.tensor(expected, dtype=torch.float64), rtol=rtol, atol=1e-12)


def test_l2_equals_the_public_code_with_pdist():
    z = random_z(1, lanes=1)
    pairs = F.pdist(z[0]).pow(2) / E
    full = torch.cat([pairs, pairs, torch.zeros(B, dtype=torch.float64)])
    expected = torch.log(torch.exp(-full / 0.5).mean())
    torch.testing.assert_close(dispersive_loss(z, torch.tensor([0.5]), "l2")[0], expected)


@pytest.mark.parametrize("variant", VARIANTS)
def test_gradient_agrees_with_finite_differences(variant):
    z = random_z(2, lanes=1).requires_grad_(True)
    tau = torch.tensor([1.5], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: dispersive_loss(x, tau, variant), (z,))


def test_relative_gradient_agrees_with_finite_differences():
    z = random_z(3, lanes=1).requires_grad_(True)
    tau = torch.tensor([0.5], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: dispersive_loss(x, tau, "l2", "relative"), (z,))


def test_relative_tau_cannot_be_gamed_by_growing_the_norm():
    z, tau = random_z(4), torch.tensor([0.5, 0.5])
    small, large = (dispersive_loss(z * scale, tau, "l2", "relative") for scale in (1.0, 100.0))
    torch.testing.assert_close(small, large)
    absolute = [dispersive_loss(z * scale, tau, "l2")[0] for scale in (1.0, 100.0)]
    assert absolute[1] < absolute[0] - 0.1


def test_relative_tau_is_absolute_tau_times_the_mean_distance():
    z = random_z(5, lanes=1)
    mean = squared_distances(z).sum() / (B * (B - 1))
    relative = dispersive_loss(z, torch.tensor([0.7]), "l2", "relative")
    absolute = dispersive_loss(z, 0.7 * mean[None], "l2")
    torch.testing.assert_close(relative, absolute)


def simplex(scale: float) -> torch.Tensor:
    """B points at equal distances and equal angles: the least the InfoNCE losses can be."""
    corners = torch.eye(B, E, dtype=torch.float64)
    return scale * (corners - corners.mean(0))[None]


def tight_frame() -> torch.Tensor:
    """E features of B images, as far from correlated as rank B - 1 allows: a harmonic frame, none a constant."""
    waves = torch.arange(1, (B - 1) // 2 + 1, dtype=torch.float64)[:, None] * 2 * math.pi / E * torch.arange(E)
    rows_RE = torch.cat([waves.cos(), waves.sin()])  # orthogonal and as long; every column as long
    basis_BB = torch.linalg.qr(torch.cat([torch.ones(B, 1), torch.eye(B, B - 1)], 1).double())[0]
    return (basis_BB[:, 1:] @ rows_RE)[None]


# A batch at the floor; one in median distances, which is only approached, is in test_forms.py.
AT_FLOOR = {
    ("l2", "absolute"): simplex(1e4),
    ("l2", "relative"): simplex(1.0),
    ("cosine", "absolute"): simplex(1.0),
    ("hinge", "absolute"): simplex(1e4),
    ("covariance", "absolute"): tight_frame(),
}


def test_every_variant_has_a_batch_at_its_floor():
    assert {(name, units) for name, facts in VARIANTS.items() for units in facts.units} == {*AT_FLOOR, ("l2", "median")}


@pytest.mark.parametrize(("variant", "units", "z"), [(*form, z) for form, z in AT_FLOOR.items()])
def test_floor_is_attained_and_never_undercut(variant, units, z):
    tau = torch.tensor([0.8], dtype=torch.float64)
    floor = bounds(tau, variant, units, Compared(B, 1, E)).floor
    atol = 1e-6 if variant == "covariance" else 1e-9
    torch.testing.assert_close(dispersive_loss(z, tau, variant, units), floor, rtol=0, atol=atol)
    for seed in range(20):
        assert float(dispersive_loss(random_z(seed, 1), tau, variant, units) - floor) > -1e-12


def test_floor_of_absolute_l2_is_minus_log_batch():
    loss = dispersive_loss(simplex(1e4), torch.tensor([0.5]), "l2")
    assert float(loss) == pytest.approx(-math.log(B))
    for above in (0.0, 0.009, 0.011, 0.1):
        span = bounds(torch.tensor([0.5]), "l2", "absolute", Compared(B, 1, E)).span
        assert bool(at_floor(torch.tensor([above * math.log(B)]), span)) == (above < 0.01)


@pytest.mark.parametrize(("variant", "units"), [form for form in AT_FLOOR if form[0] != "covariance"])
def test_span_is_what_a_collapsed_batch_has_above_the_floor_and_one_percent_of_it_is_the_floor(variant, units):
    tau = torch.tensor([0.05, 30.0], dtype=torch.float64)
    floor, span = bounds(tau, variant, units, Compared(B, 1, E))
    above = dispersive_loss(torch.ones(2, B, E, dtype=torch.float64), tau, variant, units) - floor
    torch.testing.assert_close(above, span, rtol=1e-6, atol=1e-9)
    assert not at_floor(above, span).any()
    assert at_floor(0.009 * span, span).all()
    assert not at_floor(0.011 * span, span).any()


def covariance(z: torch.Tensor) -> torch.Tensor:
    return dispersive_loss(z, torch.ones(len(z)), "covariance")


def test_the_span_of_covariance_is_that_of_features_which_are_all_one() -> None:
    same = torch.randn(1, B, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64).expand(1, B, E)
    floor, span = bounds(torch.ones(1, dtype=torch.float64), "covariance", "absolute", Compared(B, 1, E))
    torch.testing.assert_close(covariance(same * torch.linspace(-1, 2, E)) - floor, span, rtol=1e-5, atol=0)
    more = bounds(torch.ones(1), "covariance", "absolute", Compared(E + 1, 1, E))
    assert (float(more.floor), float(more.span)) == (0, 1)


def test_covariance_has_no_scale_to_win_by_for_the_batch_or_for_one_feature() -> None:
    z = random_z(3)
    scales = torch.tensor([1e-3, 1e3], dtype=torch.float64)[:, None, None]
    torch.testing.assert_close(covariance(z * scales), covariance(z))
    z.requires_grad_()
    (gradient,) = torch.autograd.grad(covariance(z).sum(), z)
    along = (gradient * (z - z.mean(1, keepdim=True))).sum((1, 2))
    assert along.abs().max() < 1e-6
    assert gradient.abs().max() > 1e-3


def test_descending_on_covariance_alone_does_not_contract_the_batch() -> None:
    z = (torch.randn(1, 16, 8, generator=torch.Generator().manual_seed(0)) @ torch.randn(8, 8)).requires_grad_()
    before, loss_before = float(squared_distances(z).mean().detach()), float(covariance(z).detach())
    optimiser = torch.optim.Adam([z], lr=0.01)
    for _ in range(300):
        optimiser.zero_grad()
        covariance(z).sum().backward()
        optimiser.step()
    assert float(covariance(z)) < loss_before / 10
    assert float(squared_distances(z).mean()) > 0.9 * before


def test_features_that_do_not_vary_neither_count_nor_blow_up() -> None:
    z = random_z(5)
    still = torch.cat([z, torch.full((2, B, 3), 7.0, dtype=torch.float64)], 2).float().requires_grad_()
    torch.testing.assert_close(covariance(still), covariance(z).float(), rtol=1e-4, atol=0)
    (gradient,) = torch.autograd.grad(covariance(still).sum(), still)
    assert gradient.isfinite().all()
    assert gradient.abs().max() < 10
    for nothing in (torch.zeros(1, B, E), torch.full((1, B, E), 3.3), torch.eye(B, E)[None] * 1e-20):
        nothing.requires_grad_()
        (gradient,) = torch.autograd.grad(covariance(nothing).sum(), nothing)
        assert float(covariance(nothing)) == pytest.approx(0, abs=1e-6)
        assert gradient.isfinite().all()


def test_two_images_are_perfectly_correlated_and_at_the_floor() -> None:
    z = random_z(6)[:, :2].float().requires_grad_()
    loss = covariance(z)
    floor, span = bounds(torch.ones(2), "covariance", "absolute", Compared(2, 1, E))
    torch.testing.assert_close(loss, torch.ones(2), rtol=1e-5, atol=0)
    assert at_floor(loss - floor, span).all()
    assert torch.autograd.grad(loss.sum(), z)[0].abs().max() < 1e-4


def test_a_batch_of_one_has_no_room_to_move():
    for variant in VARIANTS:
        assert [float(part) for part in bounds(torch.tensor([0.5]), variant, "absolute", Compared(1, 1, E))] == [0, 0]


def test_one_image_has_loss_and_gradient_zero():
    z = torch.randn(1, 1, E, requires_grad=True)
    loss = dispersive_loss(z, torch.tensor([0.5]), "l2")
    loss.sum().backward()
    assert float(loss.detach()) == 0
    assert float(z.grad.abs().max()) == 0


def test_float32_stays_accurate_far_from_the_origin():
    far = 30 + 0.01 * torch.randn(1, 16, 64, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    tau = torch.tensor([1e-4])
    rounded = far.float()
    expected = dispersive_loss(rounded.double(), tau, "l2")
    torch.testing.assert_close(dispersive_loss(rounded, tau, "l2").double(), expected, rtol=1e-4, atol=1e-5)


def test_huge_distances_over_a_tiny_tau_give_the_floor_not_nan():
    z = (1e15 * random_z(6, 1)).float().requires_grad_(True)
    loss = dispersive_loss(z, torch.tensor([1e-6]), "l2")
    loss.sum().backward()
    assert float(loss.detach()) == pytest.approx(-math.log(B))
    assert z.grad.isfinite().all()


def test_bfloat16_features_are_handled_in_float32():
    z = random_z(7, 1).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        loss = dispersive_loss(z, torch.tensor([0.5]), "l2")
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, dispersive_loss(z.float(), torch.tensor([0.5]), "l2"))


@pytest.mark.parametrize(("variant", "units"), AT_FLOOR)
def test_lanes_do_not_touch_each_other_even_where_one_is_nan(variant, units):
    z, tau = random_z(8, 4), torch.tensor([0.9, 1.5, 0.5, 3.0], dtype=torch.float64)
    z[2, 4, 1] = torch.nan
    z.requires_grad_()
    together = dispersive_loss(z, tau, variant, units)
    (gradient,) = torch.autograd.grad(together.sum(), z)
    assert together[2].isnan()
    for k in (0, 1, 3):
        alone = z[k : k + 1].detach().clone().requires_grad_()
        got = dispersive_loss(alone, tau[k : k + 1], variant, units)
        torch.testing.assert_close(together[k], got[0])
        torch.testing.assert_close(gradient[k], torch.autograd.grad(got.sum(), alone)[0][0])
        assert gradient[k].abs().max() > 0


def test_effective_rank_counts_equal_directions():
    basis = torch.linalg.qr(torch.randn(E, E, generator=torch.Generator().manual_seed(0)))[0]
    points = torch.cat([basis[:3], -basis[:3]])[None]  # centred, three directions of equal strength
    assert float(effective_rank(points)) == pytest.approx(3, rel=1e-4)
    singular = torch.linalg.svdvals(random_z(9, 1)[0] - random_z(9, 1)[0].mean(0))
    share = singular / singular.sum()
    assert float(effective_rank(random_z(9, 1))) == pytest.approx(float((-share * share.log()).sum().exp()), rel=1e-5)


def test_effective_rank_of_a_diverged_lane_is_nan_and_spares_the_others():
    z = random_z(10, 2)
    z[0, 0, 0] = torch.inf
    ranks = effective_rank(z)
    assert math.isnan(float(ranks[0]))
    assert float(ranks[1]) > 1


@pytest.mark.parametrize("offset", [0.0, 30.0])
@pytest.mark.parametrize("count", [2, 5, B])
def test_median_distance_is_that_of_pdist(count, offset):
    z = random_z(11)[:, :count] + offset
    expected = torch.stack([(torch.pdist(one).square() / E).median() for one in z]).float()
    torch.testing.assert_close(median_distance(z), expected, rtol=1e-4, atol=0)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_median_distance_of_a_diverged_lane_is_nan_and_spares_the_others(value):
    z = random_z(12)
    z[0, 3, 2] = value
    medians = median_distance(z)
    assert math.isnan(float(medians[0]))
    torch.testing.assert_close(medians[1:], median_distance(z[1:]))


def test_feature_norm_is_the_root_mean_square():
    assert float(feature_norm(torch.full((1, 4, 5), -3.0))) == pytest.approx(3.0)
