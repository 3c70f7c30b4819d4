"""The fast part of `make simulate`: a few scenarios, with what chance allows; and that the harness can fail."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import numpy as np
import pytest

from sweeper.guide.schema.results import Change
from sweeper.guide.schema.statements import Claim, Recommendation
from sweeper.records import Cell, StudyRecord
from tests.places import ROOT
from tests.simulation import bars, ledgers, looks, simulate, tables
from tests.simulation.bars import BARS, BESIDE, Bar
from tests.simulation.measures import Figures, Side, is_false, measure
from tests.simulation.worlds import NOISES, OUTCOMES, SD, SETTINGS, SURFACES, Scenario, noise, stage, world
from trainer.recipe import METRICS, recorded_metrics

STUDIES = 100
# A bar that is just kept fails a test with this chance.
CHANCE = 1e-4
FAST = (
    Scenario("null", "normal", 3),
    Scenario("null", "t3", 5),
    Scenario("half-null", "unequal", 5),
    Scenario("additive", "diverging", 8),
    Scenario("interaction", "normal-0", 3),
    Scenario("all-worse", "baseline-2sd", 5),
    Scenario("scale-dependent", "normal", 5),
    Scenario("one-better-3", "normal", 5),
)


@pytest.fixture(autouse=True)
def _quick() -> Iterator[None]:
    simulate.begin()
    yield
    gc.unfreeze()


def by_name(start: str) -> Bar:
    return next(bar for bar in (*BARS, *BESIDE) if bar.name.startswith(start))


def sides(scenario: Scenario, studies: int, seed: int = 0) -> list[Side]:
    return [simulate.sides(scenario, number, seed)[0] for number in range(studies)]


def unlikely(bar: Bar, scenario: Scenario, figures: Figures) -> bool:
    """Whether chance does not explain what was found."""
    found = bar.estimate(figures) if bar.applies(scenario) else None
    return found is not None and bar.chance(found) < CHANCE


@pytest.mark.parametrize("scenario", FAST, ids=lambda at: f"{at.surface}-{at.noise}-{at.seeds}")
def test_a_guide_keeps_what_it_promises(scenario: Scenario):
    figures = simulate.simulate(scenario, range(STUDIES), seed=1)
    assert figures["studies"] == STUDIES
    assert not [bar.name for bar in BARS if unlikely(bar, scenario, figures)], dict(figures)


def test_a_study_without_effect_says_so():
    figures = simulate.simulate(Scenario("null", "normal", 5), range(40), seed=2)
    assert figures["verdict no evidence"] + figures["verdict equivalent"] >= 34


def test_picking_the_best_screening_mean_is_caught():
    """The mistake all of this is about: the lowest of 30 means is called confirmed, with its interval."""
    scenario, found = Scenario("null", "normal", 3), Figures()
    for side in sides(scenario, 25):
        lowest = min(side.guide.main.cells, key=lambda one: one.change.mean)
        claim = Claim(
            key=lowest.key, label="", metric="fid_10k", standing="confirmed helps", direction="lower",
            change=lowest.change,
        )  # fmt: skip
        advice = Recommendation(members=(lowest.key,), first=lowest.key, why="confirmed", unique=True, stopped=0)
        broken = side.guide.model_copy(update={"claims": (claim,), "recommendation": advice})
        found.update(measure(scenario, side._replace(guide=broken)))
    for promise in ('false "confirmed"', "bias of a printed gain", 'wrong "unique best"'):
        assert unlikely(by_name(promise), scenario, found), promise


def test_intervals_too_short_and_sets_too_small_are_caught():
    scenario, found = Scenario("additive", "normal", 5), Figures()
    for side in sides(scenario, 30):
        claims = tuple(
            one.model_copy(update={"change": Change(n=5, mean=one.change.mean, low=one.change.mean, high=1.0)})
            for one in side.guide.claims
        )
        advice = side.guide.recommendation.model_copy(update={"members": ("baseline",), "first": "baseline"})
        broken = side.guide.model_copy(update={"claims": claims, "side_claims": (), "recommendation": advice})
        found.update(measure(scenario, side._replace(guide=broken)))
    for promise in ("coverage of printed", "coverage of the objective", "best cell inside", "regret"):
        assert unlikely(by_name(promise), scenario, found), promise


def test_a_transfer_to_a_scale_without_effect_is_caught(monkeypatch):
    scenario = Scenario("scale-dependent", "normal", 3)
    made = simulate.sides(scenario, 0, 0)
    every = [
        tuple(
            Claim(key=key, label="", metric="fid_10k", standing="confirmed helps", direction="lower")
            for key in side.plan.keys[1:-1]
        )
        for side in made
    ]
    broken = [
        side._replace(guide=side.guide.model_copy(update={"claims": claims}))
        for side, claims in zip(made, every, strict=True)
    ]
    monkeypatch.setattr(simulate, "sides", lambda *_: broken)
    assert simulate.study(scenario, 0, 0)["false transfer"] == 1


@pytest.mark.parametrize(
    ("metric", "standing", "direction", "effect", "false"),
    [
        ("fid_10k", "confirmed helps", "lower", -0.1, False),
        ("fid_10k", "confirmed helps", "lower", 0.0, True),
        ("fid_10k", "confirmed helps", "higher", 0.1, True),
        ("val_loss", "confirmed hurts", "higher", 0.1, False),
        ("val_loss", "confirmed hurts", "higher", -0.1, True),
        ("recall_10k", "confirmed hurts", "lower", -0.1, False),
        ("recall_10k", "confirmed helps", "higher", -0.1, True),
        ("recall_10k", "suggestive", "higher", -0.1, False),
    ],
)
def test_a_confirmed_claim_is_false_where_nothing_moves_its_way(metric, standing, direction, effect, false):
    claim = Claim(key="", label="", metric=metric, standing=standing, direction=direction)
    assert is_false(claim, effect) == false


@pytest.mark.parametrize("kind", NOISES)
def test_noise_has_the_spread_and_the_correlation_it_is_said_to_have(kind):
    rng = np.random.default_rng(0)
    truth = world(Scenario("null", kind, 5), rng)
    noise_CS = noise(kind, truth.sd_C, 40_000, rng)
    expected = {"unequal": truth.sd_C[0] / SD, "baseline-2sd": 2.0}.get(kind, 1.0)
    assert noise_CS[0].std() / SD == pytest.approx(expected, rel=0.1 if kind == "t3" else 0.02)
    assert noise_CS[5].std() == pytest.approx(truth.sd_C[5], rel=0.1 if kind == "t3" else 0.02)
    assert np.corrcoef(noise_CS[:2])[0, 1] == pytest.approx(0.0 if kind == "normal-0" else 0.5, abs=0.05)
    drawn = stage(Scenario("null", kind, 5), truth, 2000, rng)
    assert drawn.diverged_CS.mean() == pytest.approx(0.03 if kind == "diverging" else 0.0, abs=0.005)
    half, end = drawn.half_CS[3] - drawn.half_CS[3].mean(), drawn.end_CS[3]
    assert np.corrcoef(half, end)[0, 1] == pytest.approx(0.7, abs=0.08)
    assert drawn.side_MCS.std(axis=2)[:, 3] / truth.sd_C[3] * SD == pytest.approx(
        [sd for _, sd in OUTCOMES.values()], rel=0.25 if kind == "t3" else 0.1
    )


@pytest.mark.parametrize(("kind", "skewness"), [("skewed", 2.0), ("grows", 2.9), ("bad-runs", 1.8)])
def test_uneven_noise_of_differences_has_mean_0_and_its_long_tail_on_the_worse_side(kind, skewness):
    rng = np.random.default_rng(0)
    noise_CS = noise(kind, world(Scenario("null", kind, 5), rng).sd_C, 200_000, rng)
    difference_S = (noise_CS[3] - noise_CS[0]) / SD
    assert difference_S.mean() == pytest.approx(0.0, abs=0.05)
    assert (difference_S**3).mean() / (difference_S**2).mean() ** 1.5 == pytest.approx(skewness, rel=0.15)
    assert difference_S.std() == pytest.approx(4.5 if kind == "bad-runs" else 1.0, rel=0.05)


def test_only_the_baseline_has_the_bad_runs_of_a_bad_baseline():
    rng = np.random.default_rng(0)
    noise_CS = noise("bad-baseline", np.full(4, SD), 50_000, rng)
    assert (noise_CS[0] > 6 * SD).mean() == pytest.approx(0.15, abs=0.01)
    assert not (noise_CS[1:] > 6 * SD).any()


@pytest.mark.parametrize(
    ("surface", "lowest", "highest", "zeros"),
    [
        ("null", 0, 0, 30), ("half-null", 0, 3, 15), ("additive", -3, 3, 0), ("interaction", -3, 3, 0),
        ("all-better", -4, -1, 0), ("all-worse", 1, 6, 0), ("scale-dependent", -3, 0, 25), ("one-better-2", -2, 0, 29),
    ],
)  # fmt: skip
def test_surfaces_are_as_documented(surface, lowest, highest, zeros):
    for draw in range(20):
        effect = world(Scenario(surface, "normal", 5), np.random.default_rng(draw)).effect_C / SD
        assert effect[0] == 0
        assert lowest - 1e-9 <= effect[1:-1].min() <= effect[1:-1].max() <= highest + 1e-9
        if surface in ("additive", "interaction"):
            assert (effect[1:-1].min(), effect[1:-1].max()) == pytest.approx((-3, 3))
        assert (effect[1:-1] == 0).sum() >= zeros
    other = world(Scenario("scale-dependent", "normal", 5), np.random.default_rng(0), other_scale=True)
    assert not other.effect_C.any()


@pytest.mark.parametrize("surface", ["all-worse", "interaction"])
def test_records_are_what_a_ledger_could_hold(surface):
    scenario, rng, plan = Scenario(surface, "diverging", 3), np.random.default_rng(0), ledgers.design(3)
    assert [Cell.model_validate(cell.model_dump()).key for cell in plan.cells] == list(plan.keys)
    assert len(plan.cells) == SETTINGS + 2
    states = set()
    for number in range(8):
        made = ledgers.record(scenario, world(scenario, rng), plan, number, rng)
        again = StudyRecord.model_validate(made.model_dump())
        assert again.model_dump() == made.model_dump()
        assert len({trial.spec.key for trial in made.trials}) == len(made.trials)
        confirmed = {trial.spec.cell.key for trial in made.trials if trial.spec.stage == "confirm"}
        out = {trial.spec.cell.key for trial in made.trials if trial.state == "pruned" or trial.audited}
        assert {"baseline", plan.keys[-1]} <= confirmed
        assert not confirmed & out - {plan.keys[-1]}
        assert all(trial.rungs[-1].step == 800 for trial in made.trials if trial.state == "complete")
        states |= {(trial.state, len(trial.rungs)) for trial in made.trials}
    assert {("complete", 2), ("complete", 1), ("diverged", 1), ("diverged", 0)} <= states
    assert ("pruned", 1) in states


def test_arms_of_a_study_in_looks_run_on_a_prefix_of_its_seeds_and_the_baseline_as_long_as_any():
    scenario, rng, plan = Scenario("one-better-3", "normal", 20), np.random.default_rng(0), ledgers.design(20)
    ended = set()
    for number in range(4):
        made = ledgers.record(scenario, world(scenario, rng), plan, number, rng)
        took: dict[str, list[int]] = {}
        for trial in made.trials:
            if trial.spec.stage == "confirm":
                took.setdefault(trial.spec.cell.key, []).append(trial.spec.seed)
        assert all(set(seeds) == set(made.fresh_seeds[: len(seeds)]) for seeds in took.values())
        assert len(took["baseline"]) == max(map(len, took.values()))
        ended |= {len(seeds) for seeds in took.values()}
        assert simulate.assemble_guide(made).claims
    assert ended <= {3, 5, 8, 12, 20}
    assert len(ended) > 1


def test_the_confirm_stage_alone_errs_less_under_skew_than_before_and_finds_more():
    null, gain = (looks.figures(Scenario(at, "skewed", 20), 60) for at in ("null", "one-better-3"))
    assert null["false before 5"] > 2 * null["false 5"]
    assert gain["found 5"] >= gain["found before 5"]
    assert gain["found looks to 20"] >= 57


def test_further_runs_of_a_baseline_that_sometimes_ends_badly_make_no_harm_of_it():
    found = looks.figures(Scenario("null", "bad-baseline", 20), 100, further=14)
    assert found["false before 3"] >= 10
    assert max(found[f"false {name}"] for name in looks.JUDGED) <= 8


def test_a_study_depends_on_its_scenario_its_number_and_the_seed_alone():
    scenario = Scenario("half-null", "normal", 3)
    whole = simulate.simulate(scenario, range(6), 0)
    parts = [simulate.simulate(scenario, numbers, 0) for numbers in (range(3, 6), range(3))]
    assert sum(parts, Figures())["members"] == whole["members"]
    assert simulate.simulate(scenario, range(6), 1) != whole
    assert len(set(simulate.scenarios())) == len(simulate.scenarios()) == 212
    assert {at.surface for at in simulate.scenarios()} == set(SURFACES)


def test_finished_scenarios_are_taken_up_again_unless_the_code_changed(tmp_path, monkeypatch):
    scenario, figures = Scenario("null", "normal", 3), Figures(studies=10, regret=1.5)
    simulate.finished_under(tmp_path / "work.jsonl", 10, 0).add(str(scenario), figures)
    assert simulate.finished_under(tmp_path / "work.jsonl", 10, 0).load() == {str(scenario): figures}
    assert simulate.finished_under(tmp_path / "work.jsonl", 20, 0).load() == {}
    monkeypatch.setattr(simulate, "fingerprint", lambda: "changed")
    assert simulate.finished_under(tmp_path / "work.jsonl", 10, 0).load() == {}


def test_the_code_that_decides_a_figure_is_where_it_is_looked_for():
    assert [name for name in simulate.SIMULATED if not (ROOT / "sweeper" / name).exists()] == []
    assert len(simulate.fingerprint()) == 16


def test_the_page_says_what_is_kept_and_what_is_missed():
    good = {"studies": 1000, "false confirmed": 30, "gains": 1000, "bias": 10, "bias_sq": 100.0, "verdict helps": 1000}
    bad = {**good, "false confirmed": 80, "bias": -300}
    tallies = {Scenario("null", "normal", 3): good, Scenario("null", "t3", 5): bad}
    page = tables.page(tallies, [], [("seed", "0")])
    assert (
        '| false "confirmed" claims | <= 5 % | null, t3, 5 seeds | 8 % | 9.555 % | MISSED (1 of 2 scenarios) |' in page
    )
    assert "| bias of a printed gain | <= 0.100 sd | null, t3, 5 seeds | 0.300 sd |" in page
    assert "| power at a gain of 3 sd, 5 fresh seeds, seed correlation 0 and .5 | >= 80 % | not simulated |" in page
    assert [(bar.name, at.noise) for bar, at, _ in bars.missed(tallies) if "confirmed" in bar.name] == [
        ('false "confirmed" claims', "t3")
    ]


def test_limits_are_those_of_clopper_and_pearson():
    assert bars.exact_limit(0, 100, "<=") == pytest.approx(1 - 0.05**0.01)
    assert bars.exact_limit(100, 100, ">=") == pytest.approx(0.05**0.01)
    assert (bars.exact_limit(100, 100, "<="), bars.exact_limit(0, 100, ">=")) == (1.0, 0.0)
    bar = by_name('false "confirmed"')
    told = [bar.standing(bars.Estimate(*one, 1000)) for one in ((0.04, 0.055), (0.05, 0.065), (0.06, 0.08))]
    assert told == ["holds", "holds, its limit does not", "MISSED"]


def test_the_simulated_outcomes_are_those_that_a_guide_makes_claims_about():
    simulated = [known.metric.name for known in recorded_metrics(OUTCOMES)]
    assert simulated == [name for name, metric in METRICS.items() if metric.guide == "claimed"]
    assert len(simulated) == len(OUTCOMES)
