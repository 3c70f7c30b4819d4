from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy.stats import t
from statsmodels.stats.anova import anova_lm

from sweeper.guide.analysis.knob_effects import REJECTED
from sweeper.statistics.factors import Factor, effect, interaction, levels
from sweeper.statistics.paired_tests import holm


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
    moving = "y ~ C(seed):C(page):C(block) + C(seed):C(page):C(tau)"
    additive = smf.ols(moving, data).fit()
    full = smf.ols(f"{moving} + C(page):C(block):C(tau)", data).fit()
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


def test_levels_are_compared_with_the_lowest_over_seeds_and_their_intervals_hold_together(data: pd.DataFrame) -> None:
    blocks = [column(data, name) for name in ("page", "tau")]
    found = levels(data["y"].to_numpy(), column(data, "seed"), blocks, Factor("block", column(data, "block")), 0.05)
    assert [one.level for one in found] == [0, 1, 2, 3]
    assert (found[0].difference, found[0].low, found[0].high) == (0, 0, 0)
    fits = [smf.ols("y ~ C(page) + C(tau) + C(block)", data[data.seed == seed]).fit() for seed in range(3)]
    by_seed = pd.DataFrame(
        [
            (seed, block, fit.params[f"C(block)[T.{block}]"] if block else 0.0)
            for seed, fit in enumerate(fits)
            for block in range(4)
        ],
        columns=["seed", "block", "y"],
    )
    over_seeds = smf.ols("y ~ C(seed) + C(block)", by_seed).fit()
    reach = t.ppf(1 - 0.05 / 12, 6) * over_seeds.bse["C(block)[T.3]"]
    assert found[3].difference == pytest.approx(over_seeds.params["C(block)[T.3]"])
    assert found[3].high - found[3].difference == pytest.approx(reach)


@pytest.mark.parametrize("correlation", [0.0, 0.8])
def test_intervals_of_levels_hold_where_cells_of_a_level_share_their_noise_on_a_seed(correlation: float) -> None:
    rng, grid = np.random.default_rng(0), list(product(range(3), range(6), range(5)))  # seed, block, tau
    seeds, blocks, taus = zip(*grid, strict=True)
    covered = 0
    for _ in range(200):
        shared, own = rng.normal(size=(3, 6)), rng.normal(size=len(grid))
        y = correlation**0.5 * shared[list(seeds), list(blocks)] + (1 - correlation) ** 0.5 * own
        found = levels(y, seeds, [taus], Factor("block", blocks), 0.05)
        covered += all(one.low <= 0 <= one.high for one in found)
    assert covered >= 0.93 * 200


def test_unequal_noise_is_called_an_interaction_in_one_of_twenty_grids_at_most() -> None:
    rng, grid = np.random.default_rng(0), list(product(range(3), range(6), range(5)))
    seeds, blocks, taus = zip(*grid, strict=True)
    rejected = 0
    for _ in range(150):
        sd = np.repeat(5 ** rng.uniform(-0.5, 0.5, (1, 30)), 3, axis=0).ravel()
        found = interaction(
            sd * rng.normal(size=len(grid)), seeds, [0] * len(grid), Factor("block", blocks), Factor("tau", taus)
        )
        assert found is not None
        rejected += found.p < REJECTED
    assert rejected <= 13


def test_what_cannot_be_tested_gives_nothing() -> None:
    """One seed, one level, or levels that only occur together."""
    y = np.array([1.0, 2.0, 3.0, 4.0])
    one = Factor("block", [0, 0, 1, 1])
    assert interaction(y, [0, 0, 0, 0], [0, 0, 0, 0], one, Factor("tau", [0, 1, 0, 1])) is None
    assert levels(y, [0, 0, 1, 1], [], Factor("tau", [1, 1, 1, 1]), 0.05) == ()
    assert levels(y, [0, 0, 0, 0], [], Factor("tau", [0, 1, 0, 1]), 0.05) == ()
    assert levels(y, [0, 0, 1, 1], [[0, 1, 0, 1]], Factor("tau", [0, 1, 0, 1]), 0.05) == ()


def pairs_seen(studies: int, unequal: bool = False) -> float:
    """The share of grids, 3 x 3 x 3 on three seeds without any effect, in which any of three pairs is seen."""
    rng, hits = np.random.default_rng(0), 0
    at = np.array(list(product(range(3), repeat=4)))  # three knobs, then the seed
    knobs = [at[:, k].tolist() for k in range(3)]
    for _ in range(studies):
        sd_C = 2.0 ** rng.uniform(-1, 1, 27) if unequal else np.ones(27)
        y = sd_C[at[:, :3] @ [9, 3, 1]] * rng.standard_normal(len(at)) + rng.standard_normal(3)[at[:, 3]]
        found = [
            interaction(y, at[:, 3].tolist(), knobs[page], Factor("row", knobs[row]), Factor("column", knobs[column]))
            for page, row, column in ((2, 0, 1), (1, 0, 2), (0, 1, 2))
        ]
        hits += min(holm([one.p for one in found if one])) < REJECTED
    return hits / studies


def test_of_all_pairs_together_one_is_seen_by_chance_as_rarely_as_the_level_says() -> None:
    assert pairs_seen(300) < REJECTED + 3 * (REJECTED * (1 - REJECTED) / 300) ** 0.5
