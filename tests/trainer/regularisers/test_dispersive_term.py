import math

import pytest
import torch

from trainer.backbones.protocol import TapShape
from trainer.recipe import VARIANTS, Dispersion
from trainer.regularisers.dispersive import dispersive_loss
from trainer.regularisers.dispersive_term import DispersiveTerm
from trainer.regularisers.floor import Compared, bounds

CPU = torch.device("cpu")
BATCH, SHAPES = 6, (TapShape(4, 8),) * 3
TAPS = {b: torch.randn(3, BATCH, 4, 8, generator=torch.Generator().manual_seed(b)) for b in range(3)}
# As the feature maps of a network that halves its sides: two of them differ, and two of them have one size.
SIZES = {0: (4, 8), 1: (16, 4), 2: (1, 20), 3: (8, 8)}
SIZED = {
    b: torch.randn(3, BATCH, *size, generator=torch.Generator().manual_seed(b), dtype=torch.float64)
    for b, size in SIZES.items()
}
SIZED_SHAPES = tuple(TapShape(*size) for size in SIZES.values())


def term(*settings: Dispersion) -> DispersiveTerm:
    return DispersiveTerm(settings, BATCH, SHAPES, CPU)


def single(lane: int, tap: int, tau: float, variant="l2", taps=TAPS) -> float:
    return float(dispersive_loss(taps[tap][lane : lane + 1].flatten(2), torch.tensor([tau]), variant))


def test_what_is_added_is_lambda_times_dispersion_of_the_lanes_own_tap():
    added = term(
        Dispersion(),
        Dispersion(blocks=(2,), lam=0.25, tau=0.5),
        Dispersion(blocks=(0,), lam=0.5, tau=2.0, variant="cosine"),
    )(TAPS)
    total = added.weight * added.term
    for lane, extra in enumerate((0.0, 0.25 * single(1, 2, 0.5), 0.5 * single(2, 0, 2.0, "cosine"))):
        assert float(total[lane]) == pytest.approx(extra, rel=1e-5)


def test_several_taps_count_by_their_mean():
    added = term(Dispersion(blocks=(0, 1, 2), lam=1.0, tau=0.5), Dispersion(), Dispersion())(TAPS)
    expected = sum(single(0, tap, 0.5) for tap in range(3)) / 3
    assert float(added.term[0]) == pytest.approx(expected, rel=1e-5)
    assert float(added.recorded["dispersive_loss"][0]) == pytest.approx(expected, rel=1e-5)


def test_lanes_without_dispersion_have_none_reported():
    made = term(Dispersion(), Dispersion(lam=0.1), Dispersion())
    added = made(TAPS)
    assert (tuple(added.recorded), tuple(added.counted)) == (made.recorded, made.counted)
    for recorded in added.recorded.values():
        assert recorded.isnan().tolist() == [True, False, True]
    assert not added.counted["floor_share"][[0, 2]].any()
    assert float((added.weight * added.term)[0]) == 0


def test_where_no_lane_disperses_nothing_is_added_or_needed():
    none = term(Dispersion(), Dispersion(), Dispersion())
    added = none({})
    assert none.taps == set()
    assert added.term is None
    assert all(recorded.isnan().all() for recorded in added.recorded.values())
    assert not added.counted["floor_share"].any()


def test_taps_are_those_of_lanes_that_disperse():
    settings = [Dispersion(blocks=(5,)), Dispersion(blocks=(0, 2), lam=0.1), Dispersion(blocks=(2,), lam=0.5)]
    assert term(*settings).taps == {0, 2}
    assert term(*settings[:1]).taps == set()


def test_span_of_each_lane_is_that_of_its_own_variant_whatever_its_number_of_taps():
    span = term(
        Dispersion(blocks=(0, 1), lam=1.0, tau=0.5), Dispersion(lam=1.0, tau=2.0, variant="hinge"), Dispersion()
    )._span
    assert float(span[0]) == pytest.approx(math.log(6), rel=1e-6)
    assert float(span[1]) == pytest.approx(4 * (1 - 1 / 6), rel=1e-6)
    assert math.isnan(float(span[2]))


def test_a_lane_is_at_its_floor_within_one_percent_of_its_own_span():
    # A hinge's loss is its floor where all are farther apart than the margin, and its ceiling where all are equal.
    far = 100 * torch.eye(BATCH, 32).view(1, BATCH, 4, 8).expand(3, -1, -1, -1).clone()
    far[1] = 1.0
    hinge = Dispersion(lam=1.0, tau=2.0, variant="hinge")
    added = term(hinge, hinge, Dispersion())({0: far})
    assert added.counted["floor_share"].tolist() == [True, False, False]
    torch.testing.assert_close(added.recorded["floor_distance"][:2], torch.tensor([0.0, 4 * (1 - 1 / 6)]))


def test_reported_parts_carry_no_gradient():
    taps = {tap: part.clone().requires_grad_() for tap, part in TAPS.items()}
    added = term(*[Dispersion(lam=0.1)] * 3)(taps)
    assert added.term is not None
    assert added.term.requires_grad
    assert not added.weight.requires_grad
    assert not any(part.requires_grad for part in (*added.recorded.values(), *added.counted.values()))


@pytest.fixture
def float64():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


# In one lane, of one size and of others; between lanes, of one variant and of others.
MIXED = (
    Dispersion(blocks=(0, 1, 2, 3), lam=0.3, tau=0.5),
    Dispersion(blocks=(1, 2), lam=1.0, variant="covariance"),
    Dispersion(blocks=(2,), lam=0.1, tau=0.7),
)


@pytest.mark.usefixtures("float64")
def test_taps_of_different_sizes_each_count_by_their_own_formula():
    added = DispersiveTerm(MIXED, BATCH, SIZED_SHAPES, CPU)(SIZED)
    for lane, each in enumerate(MIXED):
        losses = [single(lane, tap, each.tau, each.variant, SIZED) for tap in each.blocks]
        assert float(added.term[lane]) == pytest.approx(sum(losses) / len(losses), rel=1e-12)


@pytest.mark.usefixtures("float64")
def test_a_lane_with_taps_of_different_sizes_is_the_same_whoever_is_beside_it():
    together = DispersiveTerm(MIXED, BATCH, SIZED_SHAPES, CPU)(SIZED)
    for lane, each in enumerate(MIXED):
        own = {tap: part[lane : lane + 1] for tap, part in SIZED.items()}
        alone = DispersiveTerm([each], BATCH, SIZED_SHAPES, CPU)(own)
        torch.testing.assert_close(together.term[lane], alone.term[0], rtol=1e-12, atol=0)
        for name, value in alone.recorded.items():
            torch.testing.assert_close(together.recorded[name][lane], value[0], rtol=1e-12, atol=1e-12)


@pytest.mark.usefixtures("float64")
def test_gradients_of_taps_of_different_sizes_reach_the_lanes_that_chose_them_and_no_other():
    taps = {tap: part.clone().requires_grad_() for tap, part in SIZED.items()}
    added = DispersiveTerm(MIXED, BATCH, SIZED_SHAPES, CPU)(taps)
    (added.weight * added.term).sum().backward()
    for tap, part in taps.items():
        reached = part.grad.abs().amax((1, 2, 3)) > 0
        assert reached.tolist() == [tap in each.blocks for each in MIXED]


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("variant", VARIANTS)
def test_floor_and_span_of_a_lane_at_several_taps_are_the_means_of_theirs(variant):
    setting = Dispersion(blocks=(0, 1, 2), lam=1.0, tau=0.5, variant=variant)
    made = DispersiveTerm([setting, Dispersion()], BATCH, SIZED_SHAPES, CPU)
    tau = torch.tensor([0.5])
    each = [bounds(tau, variant, "absolute", Compared(BATCH, *SIZED_SHAPES[tap])) for tap in setting.blocks]
    assert float(made._floor[0]) == pytest.approx(sum(float(one.floor) for one in each) / 3, rel=1e-12)
    assert float(made._span[0]) == pytest.approx(sum(float(one.span) for one in each) / 3, rel=1e-12)
    assert len({float(one.floor) for one in each}) == (3 if variant == "covariance" else 1)
    added = made({tap: part[:2] for tap, part in SIZED.items()})
    above = float(added.recorded["dispersive_loss"][0]) - float(made._floor[0])
    assert float(added.recorded["floor_distance"][0]) == pytest.approx(above, rel=1e-12)
    assert above >= 0


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_local_batch_is_the_mean_over_parts_of_the_batch_each_computed_alone(variant):
    settings = [Dispersion(blocks=(1,), lam=1.0, tau=0.5, variant=variant, local_batch=each) for each in (3, 2, "all")]
    added = DispersiveTerm(settings, BATCH, SIZED_SHAPES, CPU)(SIZED)
    tau = torch.tensor([0.5])
    for lane, samples in enumerate((3, 2, BATCH)):
        parts = SIZED[1][lane].flatten(1).split(samples)
        alone = [float(dispersive_loss(part[None], tau, variant)) for part in parts]
        assert float(added.term[lane]) == pytest.approx(sum(alone) / len(parts), rel=1e-12)
        floor = float(bounds(tau, variant, "absolute", Compared(samples, *SIZED_SHAPES[1])).floor)
        assert float(added.recorded["floor_distance"][lane]) == pytest.approx(sum(alone) / len(parts) - floor, rel=1e-9)


def test_a_local_batch_that_does_not_divide_the_batch_is_refused():
    with pytest.raises(ValueError, match="local_batch 4 does not divide a batch of 6"):
        term(Dispersion(lam=0.1, local_batch=4))
