from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy.stats import t

from sweeper.statistics.effects import fit_effects, possibly_best


def noisy(cells: int, seeds: int, missing: int = 0, random: int = 0) -> np.ndarray:
    generator = np.random.default_rng(random)
    y_CS = (
        generator.normal(size=(cells, 1))
        + generator.normal(size=(1, seeds))
        + 0.1 * generator.normal(size=(cells, seeds))
    )
    for place in generator.choice(cells * seeds, missing, replace=False):
        y_CS.flat[place] = np.nan
    return y_CS[np.isfinite(y_CS).any(axis=1)]


def long(y_CS: np.ndarray) -> pd.DataFrame:
    cells, seeds = np.nonzero(np.isfinite(y_CS))
    return pd.DataFrame({"y": y_CS[cells, seeds], "cell": cells, "seed": seeds})


@pytest.mark.parametrize("missing", [0, 5], ids=["balanced", "unbalanced"])
def test_effects_noise_and_errors_equal_the_full_two_way_regression(missing: int) -> None:
    y_CS = noisy(7, 4, missing)
    fitted = smf.ols("y ~ C(cell) + C(seed)", long(y_CS)).fit()
    effects = fit_effects(y_CS)
    assert effects is not None
    assert effects.df == fitted.df_resid
    assert effects.sd == pytest.approx(np.sqrt(fitted.mse_resid))
    others = np.arange(3)
    # The pair's own spread is set aside here: the regression knows only the pooled one.
    pooled = fit_effects(y_CS)
    assert pooled is not None
    for other in others:
        for cell in (4, 5, 6):
            contrast = np.zeros(len(fitted.params))
            contrast[list(fitted.params.index).index(f"C(cell)[T.{cell}]")] = 1
            if other:
                contrast[list(fitted.params.index).index(f"C(cell)[T.{other}]")] = -1
            wanted = fitted.t_test(contrast)
            assert effects.effect_C[cell] - effects.effect_C[other] == pytest.approx(float(wanted.effect[0]))
            assert effects.standard_errors(others)[cell, other] >= float(wanted.sd[0, 0]) * (1 - 1e-9)


def test_with_two_seeds_the_errors_are_the_regressions_own() -> None:
    y_CS = noisy(5, 2)
    fitted = smf.ols("y ~ C(cell) + C(seed)", long(y_CS)).fit()
    effects = fit_effects(y_CS)
    assert effects is not None
    contrast = np.zeros(len(fitted.params))
    contrast[list(fitted.params.index).index("C(cell)[T.4]")] = 1
    assert effects.standard_errors(np.array([0]))[4, 0] == pytest.approx(float(fitted.t_test(contrast).sd[0, 0]))


def test_a_pair_noisier_than_the_rest_is_judged_by_its_own_noise() -> None:
    y_CS = noisy(8, 5)
    y_CS[3] += np.array([2.0, -2.0, 2.0, -2.0, 0.0])
    effects = fit_effects(y_CS)
    assert effects is not None
    own = np.std(y_CS[3] - y_CS[0], ddof=1) / np.sqrt(5)
    assert effects.standard_errors(np.array([0]))[3, 0] == pytest.approx(own)


def test_without_a_degree_of_freedom_there_is_no_fit() -> None:
    assert fit_effects(noisy(4, 1)) is None


def test_cells_that_are_clearly_worse_are_not_possibly_best() -> None:
    y_CS = noisy(6, 5) * 0.01
    y_CS[2] += 5
    effects = fit_effects(y_CS)
    assert effects is not None
    kept = possibly_best(effects, 0.05)
    assert not kept[2]
    assert kept[np.argmin(effects.effect_C)]


def test_the_critical_value_is_bonferronis_over_the_other_cells() -> None:
    y_CS = noisy(4, 3) * 0
    generator = np.random.default_rng(1)
    y_CS += generator.normal(size=y_CS.shape)
    effects = fit_effects(y_CS)
    assert effects is not None
    low = int(np.argmin(effects.effect_C))
    gap = (effects.effect_C - effects.effect_C[low]) / effects.standard_errors(np.array([low]))[:, 0]
    for alpha in (0.01, 0.2, 0.6):
        assert possibly_best(effects, alpha)[np.argmax(gap)] == (gap.max() <= t.ppf(1 - alpha / 3, effects.df))


def test_the_best_cell_is_kept_as_often_as_promised() -> None:
    generator, kept = np.random.default_rng(0), 0
    truth = np.array([0.0, 0.3, 0.3, 0.6, 1.0, 2.0])
    for _ in range(400):
        effects = fit_effects(truth[:, None] + generator.normal(size=(6, 3)))
        assert effects is not None
        kept += int(possibly_best(effects, 0.1)[0])
    assert kept >= 360 - 20
