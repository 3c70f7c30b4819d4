from __future__ import annotations

import math
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr, ttest_rel

from sweeper.guide.assemble import assemble_guide
from sweeper.guide.schema.guide import Guide
from sweeper.planning.cells import setting_cell
from sweeper.records import Cell, Rung, StudyRecord, TrialRecord
from sweeper.render.guide_folder import write_guide
from sweeper.render.markdown import render_markdown
from sweeper.study import Study, values
from sweeper.text.numbers import figure, signed, spread
from tests.sweeper.guide.study_records import (
    BASELINE,
    control,
    grid_cells,
    harmful,
    large_search,
    make_record,
    make_study,
    setting,
    simulate,
    trial,
    typical,
)
from trainer.recipe import METRICS, Dispersion, numbered

FIDS = {BASELINE: [12.0, 13.0, 11.5], setting((1,), 0.01, 0.5): [11.0, 13.5, 11.0]}


def one_cell() -> StudyRecord:
    rows = [trial(cell, seed, fid) for cell, fids in FIDS.items() for seed, fid in enumerate(fids)]
    return make_record(make_study(), rows)


def test_a_change_equals_scipys_paired_t_interval_of_the_log_objective() -> None:
    result = assemble_guide(one_cell()).main.cells[0]
    base, mine = (np.log(fids) for fids in FIDS.values())
    interval = ttest_rel(mine, base).confidence_interval(0.95)
    assert result.change is not None
    assert result.change.mean == pytest.approx(math.expm1((mine - base).mean()))
    assert result.change.low == pytest.approx(math.expm1(interval.low))
    assert result.change.high == pytest.approx(math.expm1(interval.high))


def test_only_seeds_shared_with_the_baseline_are_compared() -> None:
    cell = setting((1,), 0.01, 0.5)
    rows = [trial(BASELINE, 0, 12.0), trial(BASELINE, 1, 10.0), trial(cell, 1, 11.0), trial(cell, 2, 99.0)]
    result = assemble_guide(make_record(make_study(), rows)).main.cells[0]
    # The change is over the seed that both have, and so is the figure beside it.
    assert (result.n, result.mean) == (1, pytest.approx(11.0))
    assert result.change is not None
    assert (result.change.n, result.change.low) == (1, None)
    assert result.change.mean == pytest.approx(0.1)


def test_a_stopped_trial_never_enters_a_mean() -> None:
    cell = setting((1,), 0.01, 0.5)
    rows = [trial(BASELINE, seed, 12.0) for seed in (0, 1)]
    rows += [trial(cell, 0, 11.0), trial(cell, 1, 500.0, state="pruned")]
    result = assemble_guide(make_record(make_study(), rows)).main.cells[0]
    assert (result.mean, result.sd, result.n, result.stopped_at) == (pytest.approx(11.0), None, 1, 400)


def test_the_seed_audit_recovers_the_true_noise_and_correlation() -> None:
    study = make_study()
    rows = simulate(study, grid_cells(study), lambda _: 0.0, seeds=range(40), noise=0.05, shared=0.1)
    audit = assemble_guide(make_record(study, rows)).seeds
    assert audit.difference_sd == pytest.approx(0.05 * math.sqrt(2), rel=0.25)
    assert audit.pairing == pytest.approx(0.8, abs=0.1)
    assert audit.width_ratio == pytest.approx(math.sqrt(0.2), rel=0.25)


def test_without_any_effect_about_one_interval_in_twenty_misses_the_baseline() -> None:
    study, missed, total = make_study(), 0, 0
    for study_seed in range(40):
        rows = simulate(study, grid_cells(study)[:6], lambda _: 0.0, random=study_seed)
        main = assemble_guide(make_record(study, rows)).main
        missed, total = missed + main.count("above") + main.count("below"), total + len(main.cells)
    assert 0.01 < missed / total < 0.10


def test_health_is_relative_to_the_baseline_at_the_same_block_and_step() -> None:
    found = {one.key: one for one in assemble_guide(typical()).health}
    whole, stopped = setting((1,), 0.25, 0.5), setting((1,), 0.25, 0.25)
    assert found[whole.key].norm_ratio == pytest.approx(4.0)
    assert (found[stopped.key].step, found[stopped.key].norm_ratio) == (400, pytest.approx(7.0))
    assert found[whole.key].rank_ratio == pytest.approx(31 / 25)


def test_rank_correlations_equal_scipys_over_finished_cells() -> None:
    guide = assemble_guide(typical())
    health = {one.key: one for one in guide.health}
    done = [one for one in guide.main.cells if one.mean is not None]
    wanted = spearmanr([health[one.key].norm_ratio for one in done], [one.mean for one in done]).statistic
    found = next(one for one in guide.correlations if one.name.startswith("feature norm"))
    assert (found.rho, found.n) == (pytest.approx(wanted), len(done))


def test_a_cell_at_the_floor_on_more_than_a_tenth_of_steps_is_saturated() -> None:
    main = assemble_guide(typical()).main
    assert {one.saturated for one in main.cells if one.cell.dispersion.lam == 0.25} == {True}
    assert {one.saturated for one in main.cells if one.cell.dispersion.lam == 0.01} == {False}


def test_a_screen_makes_no_claim_however_large_the_gain() -> None:
    study = make_study()
    rows = simulate(study, grid_cells(study), lambda _: -2.0, noise=0.001)
    guide = assemble_guide(make_record(study, rows))
    assert guide.verdict.kind == "screening"
    assert guide.verdict.headline.startswith("Screening, no claim")
    assert {rule.grade for rule in guide.rules} <= {"screening", "95 % set", "none"}


def test_a_grid_that_only_harms_leaves_nothing_to_confirm_and_suggests_a_smaller_lambda() -> None:
    study = make_study()
    guide = assemble_guide(make_record(study, simulate(study, grid_cells(study), lambda _: 1.0, noise=0.01)))
    assert any("Confirm no setting" in rule.rule for rule in guide.rules)
    assert not any("--stage confirm" in step for step in guide.next_steps)
    assert guide.next_study is not None
    assert max(values(guide.next_study.study.space.lam)) < 0.01


def test_fresh_seeds_are_kept_apart_from_screening_seeds() -> None:
    guide = assemble_guide(typical())
    assert guide.confirm is not None
    assert guide.confirm.seeds == tuple(range(100, 105))
    assert {one.n for one in guide.confirm.rows} == {5}
    assert guide.main.stage == "screen"


def test_prior_art_is_set_beside_the_same_setting_only() -> None:
    study, paper = make_study(), setting((1,), 0.5, 0.5)
    rows = simulate(study, [paper, setting((2,), 0.5, 0.5)], lambda _: 0.5, noise=0.01)
    here = assemble_guide(make_record(study, rows)).prior_art
    assert here[0].here.startswith("counted from 0 (block 1): +")
    assert here[0].here.endswith("counted from 1 (block 0): not run")
    assert here[1].here == "not run"
    assert here[2].here.startswith("2 settings measured, 0 with a mean below")
    part = paper.model_copy(update={"dispersion": paper.dispersion.model_copy(update={"local_batch": 16})})
    alone = assemble_guide(make_record(study, simulate(study, [part], lambda _: 0.5, noise=0.01))).prior_art
    assert {alone[0].here, alone[2].here} == {"not run"}


def test_a_guide_says_what_was_seen_at_either_reading_of_the_papers_block() -> None:
    study, both = make_study(), [setting((1,), 0.5, 0.5), setting((0,), 0.5, 0.5)]
    rows = simulate(study, both, lambda cell: 0.5 if cell.dispersion.blocks == (1,) else -0.5, noise=0.01)
    guide = assemble_guide(make_record(study, rows))
    from_0, from_1 = guide.prior_art[0].here.split("; ")
    assert from_0.startswith("counted from 0 (block 1): +")
    assert from_1.startswith("counted from 1 (block 0): -")
    assert "Depth/4 has two readings." in render_markdown(guide, {})


def test_control_arms_are_compared_but_never_counted_as_settings() -> None:
    study = make_study()
    guide = assemble_guide(make_record(study, simulate(study, [control(), setting((0,), 0.01, 0.5)], harmful)))
    assert [one.cell.label for one in guide.main.controls] == ["weight-decay"]
    assert len(guide.main.cells) == 1


def test_a_trial_recorded_twice_counts_once() -> None:
    record = one_cell()
    twice = record.model_copy(update={"trials": (*record.trials, *record.trials)})
    assert assemble_guide(twice).main == assemble_guide(record).main


def test_the_order_of_records_does_not_matter() -> None:
    record = typical()
    shuffled = list(record.trials)
    random.Random(0).shuffle(shuffled)
    assert assemble_guide(record.model_copy(update={"trials": tuple(shuffled)})) == assemble_guide(record)


def test_a_guidance_survives_json() -> None:
    guide = assemble_guide(typical())
    assert Guide.model_validate_json(guide.model_dump_json()) == guide


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0.0, "0"),
        (12.04, "12.0"),
        (0.01234, "0.0123"),
        (999.7, "1,000"),
        (123.4, "123"),
        (3e-8, "3.00e-08"),
    ],
)
def test_figures_have_three_digits(value: float | None, text: str) -> None:
    assert figure(value) == text


def test_small_changes_and_spreads_are_not_rounded_into_certainty() -> None:
    assert spread(12.0, 0.004) == "12.0 ± 0.004"
    assert (signed(-0.0001), signed(0.041), signed(99.0)) == ("0.0", "+4.1", ">+1000")


def test_a_search_too_large_to_list_becomes_a_guide_of_a_readable_length(tmp_path: Path) -> None:
    """A thousand trials; tests/benchmarks/bench_guide.py measures ten thousand."""
    record = large_search(1_000)
    text = write_guide(record, tmp_path, lambda _: None).read_text(encoding="utf-8")
    assert "333 settings" in text
    assert "1,002 trials: " in text
    assert len(text.splitlines()) < 400


def covariance_study(**space: object) -> Study:
    axes = {"block": [0, 1], "lambda": [0.01, 0.1], "variant": ["covariance"], **space}
    return make_study(space=axes)


def covariance_cells() -> list[Cell]:
    return [
        setting_cell(Dispersion(blocks=(block,), lam=lam, variant="covariance"), numbered(4))
        for block in (0, 1)
        for lam in (0.01, 0.1)
    ]


@pytest.mark.parametrize("space", [{}, {"block": [0]}], ids=str)
def test_a_covariance_page_shows_every_setting_under_no_tau(space: dict[str, object]) -> None:
    study = covariance_study(**space)
    cells = [cell for cell in covariance_cells() if (0 in cell.dispersion.blocks or not space.get("block"))]
    guide = assemble_guide(make_record(study, simulate(study, cells, lambda _: 0.0)))
    assert {key for page in guide.pages for row in page.keys for key in row} == {cell.key for cell in cells}
    assert guide.off_grid == ()
    (page,) = guide.pages
    assert "no tau" in f"{page.title} {page.columns}"


def test_a_covariance_page_stands_beside_pages_with_tau() -> None:
    study = covariance_study(variant=["l2", "covariance"], tau=[0.25, 0.5])
    cells = [
        *covariance_cells(),
        *(setting((b,), lam, tau) for b in (0, 1) for lam in (0.01, 0.1) for tau in (0.25, 0.5)),
    ]
    guide = assemble_guide(make_record(study, simulate(study, cells, lambda _: 0.0)))
    assert guide.off_grid == ()
    assert [page.title for page in guide.pages] == ["lambda 0.01, l2", "lambda 0.1, l2", "no tau, covariance"]


def test_trials_dropped_before_they_started_are_told_from_stopped_ones() -> None:
    cell = setting((1,), 0.01, 0.5)
    rows = [trial(BASELINE, 0, 12.0), trial(cell, 0, 50.0, state="pruned"), trial(cell, 1, None, state="pruned")]
    result = assemble_guide(make_record(make_study(), rows)).main.cells[0]
    assert (result.states, result.stopped_at, result.not_started) == ({"pruned": 2}, 400, 1)


finite = st.floats(-1e3, 1e308, allow_nan=False, allow_infinity=False)
cells_drawn = st.one_of(
    st.just(BASELINE),
    st.just(control()),
    st.builds(setting, st.sampled_from([(0,), (3,), (0, 2), (0, 1, 2, 3)]), st.sampled_from([0.01, 0.25, 0.4]),
              st.sampled_from([0.25, 1.0]), st.sampled_from([None, "paper's | <default>"])),
)  # fmt: skip
names = st.sampled_from(["floor_share", "floor_distance", "feature_norm.block_0", "effective_rank.block_2", "train_s",
                         "strange.block_x", *(metric.recorded(10_000) for metric in METRICS.values())])  # fmt: skip
rungs_drawn = st.lists(st.builds(Rung, step=st.integers(1, 900), metrics=st.dictionaries(names, finite)), max_size=3)
states = st.sampled_from(["waiting", "running", "complete", "pruned", "diverged", "failed"])


@st.composite
def trials_drawn(draw: st.DrawFn) -> TrialRecord:
    stage = draw(st.sampled_from(["screen", "confirm"]))
    made = trial(draw(cells_drawn), draw(st.integers(0, 3)), None, stage=stage)  # type: ignore[arg-type]
    return made.model_copy(update={"state": draw(states), "rungs": tuple(draw(rungs_drawn))})


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(trials_drawn(), max_size=14))
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_no_record_is_too_strange_for_a_guide(trials: list[TrialRecord]) -> None:
    text = render_markdown(assemble_guide(make_record(make_study(), trials)), {})
    words = text.lower().replace("|", " ").split()
    assert not {"nan", "inf", "none)", "nan)"} & set(words)


def test_a_guide_without_its_surface_claims_and_recommends_the_same() -> None:
    whole, quick = (assemble_guide(typical(), surface=surface) for surface in (True, False))
    assert whole.heuristics.rows
    assert not quick.heuristics.rows
    for part in ("claims", "side_claims", "recommendation", "stages", "knobs", "seeds"):
        assert getattr(whole, part) == getattr(quick, part)
