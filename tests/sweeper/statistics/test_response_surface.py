import time
from itertools import product

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from sweeper.statistics import gaussian_process
from sweeper.statistics.cell_noise import joint_noise
from sweeper.statistics.early_rungs import foresee
from sweeper.statistics.effects import fit_effects
from sweeper.statistics.gaussian_process import Array, Knobs
from sweeper.statistics.response_surface import Screen, costs, fit_surface, why_none

NOISE = 0.05
GRID = np.array(list(product(np.linspace(0, 1, 5), np.linspace(0, 1, 4))))
KNOBS = Knobs(GRID, (True, True))
EFFECT = 0.6 * (GRID[:, 0] - 0.75) ** 2 + 0.2 * GRID[:, 1] - 0.1
MARGIN = float(np.log1p(0.05))


def _screen(effect_C: Array = EFFECT, seeds: int = 3, random: int = 0) -> Screen:
    rng = np.random.default_rng(random)
    shared_S = rng.normal(2.5, 0.1, seeds)
    y_CS = effect_C[:, None] + shared_S + rng.normal(0, NOISE, (len(effect_C), seeds))
    return Screen(y_CS, shared_S + rng.normal(0, NOISE, seeds))


def test_a_smooth_surface_is_nearer_to_the_truth_than_the_means_of_its_seeds() -> None:
    error, plain = [], []
    for random in range(6):
        screen = _screen(EFFECT / 4, random=random)
        surface = fit_surface(screen, KNOBS)
        assert surface is not None
        low, high = surface.band(slice(None))
        assert ((low < EFFECT / 4) & (high > EFFECT / 4)).all()
        error.append(np.std(surface.mean - EFFECT / 4))
        plain.append(np.std((screen.y_CS - screen.baseline_S).mean(axis=1) - EFFECT / 4))
    assert np.mean(error) < 0.7 * np.mean(plain)


def test_the_same_screen_has_the_same_surface() -> None:
    one, other = (fit_surface(_screen(), KNOBS) for _ in range(2))
    assert one
    assert other
    np.testing.assert_array_equal(one.change_NP, other.change_NP)


def test_the_luck_of_lambda_0_is_in_every_comparison_and_cancels_between_settings() -> None:
    surface = fit_surface(_screen(), KNOBS)
    assert surface is not None
    assert surface.sd.min() > 0.8 * NOISE / 3**0.5
    between = costs(surface, [np.array([0]), np.array([1])], 0, MARGIN)
    np.testing.assert_allclose([between.mean_L[0], between.low_L[0], between.high_L[0]], 0, atol=1e-9)
    against = costs(surface, [np.array([0]), np.array([1])], None, MARGIN)
    assert between.high_L[1] - between.low_L[1] < against.high_L[1] - against.low_L[1]


def test_what_is_near_the_best_is_told_from_what_is_not() -> None:
    surface = fit_surface(_screen(), KNOBS)
    assert surface is not None
    near = surface.near_best(slice(None), MARGIN)
    behind = EFFECT - EFFECT.min()
    assert near[behind < 0.01].min() > 0.9
    assert near[behind > 0.15].max() < 0.1
    assert EFFECT[np.bincount(surface.best(slice(None))).argmax()] < EFFECT.min() + 0.04


def test_an_isolated_good_cell_does_not_drown_among_its_like() -> None:
    effect = np.zeros(len(GRID))
    effect[7] = -0.4
    surface = fit_surface(_screen(effect), KNOBS)
    assert surface is not None
    low, high = surface.band(slice(None))
    assert low[7] < -0.4 < high[7] < -0.2


def test_levels_of_a_knob_without_an_order_are_told_apart() -> None:
    variant = np.repeat([0.0, 1.0, 2.0], 4)
    place = np.column_stack([variant, np.tile(np.linspace(0, 1, 4), 3)])
    effect = np.array([0.0, 0.3, -0.2])[variant.astype(int)]
    surface = fit_surface(_screen(effect), Knobs(place, (False, True)))
    assert surface is not None
    seen = costs(surface, [np.flatnonzero(variant == level) for level in range(3)], 2, MARGIN)
    np.testing.assert_allclose(seen.mean_L, [0.2, 0.5, 0], atol=0.06)
    assert seen.within_L.tolist() == [0, 0, 1]


def test_points_that_nobody_measured_are_predicted_with_more_doubt() -> None:
    between = np.array([[0.6, 0.5], [3.0, 0.5]])
    surface = fit_surface(_screen(), Knobs(np.vstack([GRID, between]), (True, True)))
    assert surface is not None
    np.testing.assert_allclose(surface.mean[-2], 0.6 * 0.15**2, atol=0.08)
    assert surface.sd[-1] > 2 * surface.sd[-2] > 2 * surface.sd[: len(GRID)].min()


def test_a_setting_that_was_stopped_is_foreseen_from_its_early_rung() -> None:
    whole = _screen()
    early = whole.y_CS * 0.8 + 1.0
    y_CS = whole.y_CS.copy()
    worst = np.argsort(EFFECT)[-3:]
    y_CS[worst] = np.nan
    seen = fit_surface(whole._replace(y_CS=y_CS, early_CS=early), KNOBS)
    unseen = fit_surface(whole._replace(y_CS=y_CS), KNOBS)
    assert seen
    assert unseen
    assert np.abs(seen.mean - EFFECT)[worst].max() < 0.15
    assert seen.sd[worst].max() < unseen.sd[worst].max()


def test_nothing_is_foreseen_from_a_rung_that_ranks_the_other_way() -> None:
    y_CS = _screen().y_CS[:8]
    ends = fit_effects(y_CS[:6])
    assert ends
    assert not len(foresee(-y_CS, np.arange(6), ends).cells)
    assert foresee(y_CS, np.arange(6), ends).cells.tolist() == [6, 7]


def test_cells_of_a_level_that_err_together_have_common_noise() -> None:
    rng = np.random.default_rng(0)
    level = np.repeat(np.arange(4.0), 5)
    shared = rng.normal(0, NOISE, (4, 40))[level.astype(int)] + rng.normal(0, NOISE, (20, 40))
    alone = rng.normal(0, 2**0.5 * NOISE, (20, 40))
    for residual, wanted in ((shared, 0.5), (alone, 0.0)):
        noise = joint_noise(np.full(20, 2 * NOISE**2 / 40), residual - residual.mean(axis=0), level[:, None])
        assert noise[0, 1] / noise[0, 0] == pytest.approx(wanted, abs=0.15)
        assert noise[0, 5] == 0


@pytest.mark.parametrize(
    ("cells", "seeds", "why"),
    [(3, 3, "3 finished settings, too few"), (20, 1, "one seed says nothing"), (0, 3, "0 finished settings")],
)
def test_too_few_settings_or_seeds_have_no_surface_and_a_reason(cells: int, seeds: int, why: str) -> None:
    screen = _screen(seeds=seeds)
    screen = screen._replace(y_CS=np.where(np.arange(len(GRID))[:, None] < cells, screen.y_CS, np.nan))
    assert fit_surface(screen, KNOBS) is None
    assert why in why_none(screen)


def test_without_a_baseline_or_without_noise_there_is_no_surface() -> None:
    screen = _screen()
    assert "lambda 0" in why_none(screen._replace(baseline_S=np.full(3, np.nan)))
    exact = Screen(np.repeat(EFFECT[:, None], 3, axis=1), np.zeros(3))
    assert "too few trials" in why_none(exact)
    assert fit_surface(exact, KNOBS) is None


def test_one_kernels_posterior_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    place = np.linspace(0, 1, 9)[:, None]
    z_C, noise = rng.normal(0, 0.2, 7), 0.01
    terms = gaussian_process._terms(Knobs(place, (True,)), flat=50.0)
    kernels = gaussian_process._Kernels(np.array([[0.04, 0.002]] * 2000), np.full((2000, 1), 2))
    drawn = gaussian_process._samples(z_C, noise * np.eye(7), terms, kernels, rng)
    kernel = ConstantKernel(50.0) + ConstantKernel(0.04) * Matern(gaussian_process.LENGTHS[2], nu=1.5)
    known = GaussianProcessRegressor(kernel + WhiteKernel(0.002 + noise), optimizer=None).fit(place[:7], z_C)
    mean, sd = known.predict(place[7:], return_std=True)
    np.testing.assert_allclose(drawn[:, 7:].mean(axis=0), mean, atol=0.01)
    # scikit-learn counts the noise of a new trial in.
    np.testing.assert_allclose(drawn[:, 7:].var(axis=0), sd**2 - noise, rtol=0.03)
    likely = gaussian_process._log_likelihood(z_C, noise * np.eye(7), terms, kernels)[:1]
    np.testing.assert_allclose(likely - 3.5 * np.log(2 * np.pi), known.log_marginal_likelihood_value_)


def test_a_large_grid_takes_seconds_at_most() -> None:
    place = np.array(list(product(np.linspace(0, 1, 6), np.linspace(0, 1, 5), np.linspace(0, 1, 4))))
    began = time.process_time()
    assert fit_surface(_screen(place.sum(axis=1) / 10), Knobs(place, (True,) * 3, ((1, 2),)))
    assert time.process_time() - began < 10  # two on a quiet machine; processor time, with all threads of BLAS
