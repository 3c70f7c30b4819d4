"""Levels of a knob in one study: fitted seed by seed beside the other knobs."""

from itertools import product

import numpy as np
import pytest

from sweeper.guide.atlas.levels import LevelEffects, against_baseline, baseline_luck, level_effects, over_seeds
from sweeper.guide.atlas.units import LAMBDA, TAU, block_range, in_distances
from trainer.recipe import Dispersion

ORDER = ("low", "high")


def test_in_a_full_grid_a_level_is_the_mean_of_its_settings() -> None:
    cells = list(product(ORDER, (0, 1, 2)))
    y_CJ = np.random.default_rng(0).normal(size=(6, 3))
    found = level_effects(y_CJ, [level for level, _ in cells], {"other": [other for _, other in cells]}, ORDER)
    assert found.against_LJ == pytest.approx(np.stack([y_CJ[:3].mean(0), y_CJ[3:].mean(0)]))
    assert found.among_LJ[0] == pytest.approx(y_CJ[:3].mean(0) - y_CJ[3:].mean(0))


def test_a_level_that_went_with_a_harmful_other_knob_is_not_blamed_for_it() -> None:
    levels, other = ["low", "low", "high"], [0, 1, 1]
    found = level_effects(np.array([[0.0], [1.0], [1.0]]), levels, {"other": other}, ORDER)
    assert found.among_LJ[:, 0] == pytest.approx([0, 0])


def test_a_level_that_only_goes_with_one_level_of_another_knob_has_no_effect_of_its_own() -> None:
    found = level_effects(np.array([[0.0], [1.0]]), ["low", "high"], {"other": [0, 1]}, ORDER)
    assert np.isnan(found.among_LJ).all()


def test_noise_is_counted_in_seeds() -> None:
    mean_L, variance_L = over_seeds(np.array([[0.0, 0.2], [0.1, 0.3]]))
    assert mean_L == pytest.approx([0.1, 0.2])
    assert variance_L == pytest.approx([0.01, 0.01])
    assert np.isnan(over_seeds(np.array([[0.0]]))[1]).all()


def _screens_of_nothing(count: int, further: int) -> list[LevelEffects]:
    """Screens of 12 settings on two seeds where nothing does anything; lambda 0 on further seeds."""
    rng, cells, found = np.random.default_rng(3), list(product(ORDER, range(6))), []
    for _ in range(count):
        seed_J, base_J = rng.normal(size=2), rng.normal(size=2)
        y_CJ = rng.normal(size=(12, 2)) - base_J
        further_K = rng.normal(size=further) + rng.normal(size=further)
        fitted = level_effects(y_CJ, [level for level, _ in cells], {"other": [one for _, one in cells]}, ORDER)
        found.append(fitted._replace(luck=baseline_luck(y_CJ, base_J + seed_J, further_K)))
    return found


def test_further_seeds_of_lambda_0_make_changes_to_it_surer_and_their_errors_say_so() -> None:
    screens = _screens_of_nothing(400, further=8)
    mean_SL, variance_SL = (np.stack(part) for part in zip(*map(against_baseline, screens), strict=True))
    paired_SL = np.stack([over_seeds(one.against_LJ)[0] for one in screens])
    actual = float((mean_SL**2).mean())
    assert actual < 0.75 * float((paired_SL**2).mean())
    assert actual < float(variance_SL.mean()) < 2 * actual


def test_without_further_seeds_levels_stand_as_they_are() -> None:
    y_CJ = np.random.default_rng(0).normal(size=(6, 3))
    assert baseline_luck(y_CJ, np.zeros(3), np.empty(0)) is None
    found = level_effects(y_CJ, [ORDER[i // 3] for i in range(6)], {}, ORDER)
    assert np.array_equal(against_baseline(found), over_seeds(found.against_LJ))


@pytest.mark.parametrize(
    ("blocks", "depth", "name"),
    [
        ((0,), 4, "first third"),
        ((1,), 4, "middle third"),
        ((3,), 4, "last third"),
        ((11,), 12, "last third"),
        ((3,), 12, "first third"),
        ((0, 2), 4, "several blocks"),
        ((0, 1), 2, "all blocks"),
    ],
)
def test_a_block_is_a_share_of_the_depth(blocks: tuple[int, ...], depth: int, name: str) -> None:
    assert block_range(blocks, depth) == name


def test_tau_is_in_median_distances_where_those_are_known() -> None:
    distances = (0.5, 2.0, None)
    assert in_distances(Dispersion(blocks=(0,), lam=1, tau=0.5), distances) == pytest.approx(1)
    assert in_distances(Dispersion(blocks=(0, 1), lam=1, tau=1), distances) == pytest.approx(1)
    assert in_distances(Dispersion(blocks=(2,), lam=1, tau=1), distances) is None
    assert in_distances(Dispersion(blocks=(2,), lam=1, tau=1.5, tau_units="relative"), distances) == 1.5
    assert in_distances(Dispersion(blocks=(0,), lam=1, tau=1, variant="cosine"), distances) is None
    assert in_distances(Dispersion(blocks=(0,), lam=1, tau=1, distance="sum"), distances) is None


def test_every_range_has_a_name_and_ends_belong_above() -> None:
    for ranges in (TAU, LAMBDA):
        assert len(ranges.names) == len(ranges.ends) + 1
        assert [ranges.name(end) for end in ranges.ends] == list(ranges.names[1:])
