from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy.stats import t
from statsmodels.stats.anova import anova_lm

from sweeper.statistics.factors import Factor, effect, interaction, levels


@pytest.fixture
def data() -> pd.DataFrame:
    generator = np.random.default_rng(3)
    rows = [
        (page, block, tau, seed, 0.3 * block + 0.2 * tau + 0.5 * page + 0.1 * seed + generator.normal(0, 0.2))
        for page, block, tau, seed in product((0, 1), range(4), range(3), range(3))
        if (block, tau, page) != (2, 1, 1)
    ]
    return pd.DataFrame(rows, columns=["page", "block", "tau", "seed", "y"])


def column(data: pd.DataFrame, name: str) -> list[int]:
    return [int(value) for value in data[name]]


def test_the_interaction_test_equals_statsmodels_anova_of_nested_models(data: pd.DataFrame) -> None:
    additive = smf.ols("y ~ C(seed) + C(page):C(block) + C(page):C(tau)", data).fit()
    full = smf.ols("y ~ C(seed) + C(page):C(block):C(tau)", data).fit()
    wanted = anova_lm(additive, full).iloc[1]
    found = interaction(
        data["y"].to_numpy(), column(data, "seed"), column(data, "page"), Factor("block", column(data, "block")),
        Factor("tau", column(data, "tau")),
    )  # fmt: skip
    assert found is not None
    assert (found.f, found.p) == (pytest.approx(wanted["F"]), pytest.approx(wanted["Pr(>F)"]))
    assert (found.df, found.df_residual) == (int(wanted["df_diff"]), int(wanted["df_resid"]))


def test_an_effect_is_tested_beside_the_other_knobs(data: pd.DataFrame) -> None:
    reduced = smf.ols("y ~ C(seed) + C(page) + C(tau)", data).fit()
    full = smf.ols("y ~ C(seed) + C(page) + C(tau) + C(block)", data).fit()
    blocks = [column(data, name) for name in ("seed", "page", "tau")]
    found = effect(data["y"].to_numpy(), blocks, Factor("block", column(data, "block")))
    assert found is not None
    assert found.p == pytest.approx(anova_lm(reduced, full).iloc[1]["Pr(>F)"])


def test_levels_are_compared_with_the_lowest_and_their_intervals_hold_together(data: pd.DataFrame) -> None:
    fitted = smf.ols("y ~ C(seed) + C(page) + C(tau) + C(block)", data).fit()
    blocks = [column(data, name) for name in ("seed", "page", "tau")]
    found = levels(data["y"].to_numpy(), blocks, Factor("block", column(data, "block")), 0.05)
    assert [one.level for one in found] == [0, 1, 2, 3]
    assert (found[0].difference, found[0].low, found[0].high) == (0, 0, 0)
    reach = t.ppf(1 - 0.05 / 12, fitted.df_resid) * fitted.bse["C(block)[T.3]"]
    assert found[3].difference == pytest.approx(fitted.params["C(block)[T.3]"])
    assert found[3].high - found[3].difference == pytest.approx(reach)


def test_what_cannot_be_tested_gives_nothing() -> None:
    y = np.array([1.0, 2.0, 3.0, 4.0])
    one = Factor("block", [0, 0, 1, 1])
    assert interaction(y, [0, 0, 0, 0], [0, 0, 0, 0], one, Factor("tau", [0, 1, 0, 1])) is None
    assert levels(y, [[0, 0, 0, 0]], Factor("tau", [1, 1, 1, 1]), 0.05) == ()
