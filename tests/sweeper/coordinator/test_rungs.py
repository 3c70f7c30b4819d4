"""A study whose rungs before the last draw fewer samples: curves and the pruning audit know the two FIDs apart."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pytest
from scipy.stats import spearmanr

from sweeper.commands.audit import _tables
from sweeper.commands.plan import Forecast, describe
from sweeper.guide.assemble import assemble_guide
from sweeper.records import Rung, StudyRecord, TrialRecord
from sweeper.render.figures.plots import draw
from sweeper.render.markdown import render_markdown
from sweeper.render.tables.table import to_markdown
from tests.sweeper.guide.study_records import grid_cells, harmful, make_record, make_study, simulate, typical

FEWER = {"eval": {"rung_samples": 2500, "full_samples": 20_000}}


def with_fewer(trial: TrialRecord) -> TrialRecord:
    """The same trial, its FID at the first rung of 2,500 samples, at the last of both; finalists have a full one."""
    noise = random.Random(trial.spec.key).uniform(1.0, 1.2)
    rungs = []
    for place, rung in enumerate(trial.rungs):
        metrics, fid = dict(rung.metrics), rung.metrics["fid_10k"]
        metrics["fid_2500"] = noise * fid
        if place < 1:
            del metrics["fid_10k"]
        elif trial.spec.stage == "confirm":
            metrics |= {"fid_20k": 0.99 * fid, "fid_10k_second": 1.01 * fid}
        rungs.append(Rung(step=rung.step, metrics=metrics))
    return trial.model_copy(update={"rungs": tuple(rungs)})


@pytest.fixture(scope="module")
def record() -> StudyRecord:
    study = make_study(recipe=FEWER)
    cells = grid_cells(study)
    rows = simulate(study, cells, harmful, stopped=lambda cell: cell.dispersion.lam / cell.dispersion.tau >= 1)
    rows += simulate(study, cells[:3], harmful, "confirm", range(100, 105), random=1)
    return make_record(study, map(with_fewer, rows))


def test_curves_are_of_one_fid_at_every_step(record: StudyRecord, tmp_path: Path) -> None:
    guide = assemble_guide(record)
    assert guide.rung_objective == "fid_2500"
    baseline = guide.highlights[0]
    assert [point.step for point in baseline.curve] == [400, 800]
    screened = [trial for trial in record.trials if trial.spec.stage == "screen" and trial.spec.cell.role == "baseline"]
    last = [trial.rungs[-1].metrics["fid_2500"] for trial in screened]
    assert baseline.curve[-1].mean == pytest.approx(math.prod(last) ** (1 / len(last)))
    assert draw(guide, tmp_path, lambda _: None)["curves"].title == "FID-2500 by step"


def test_the_pruning_audit_ranks_the_ends_of_the_screen_by_both(record: StudyRecord) -> None:
    guide = assemble_guide(record)
    ends = [t.rungs[-1].metrics for t in record.trials if t.spec.stage == "screen" and t.state == "complete"]
    found = guide.pruning.ranking
    assert found is not None
    assert found.n == len(ends)
    pairs = zip(*((one["fid_2500"], one["fid_10k"]) for one in ends), strict=True)
    assert found.rho == pytest.approx(spearmanr(*pairs).statistic)
    table = to_markdown(_tables("pruning", guide)[0])
    assert f"FID-2500 against FID-10K at the end, Spearman's rho | {found.rho:+.2f} [" in table
    text = render_markdown(guide, {})
    assert "Rank correlation (Spearman's rho) of FID-2500 and FID-10K at the end of the screen's trials" in text
    assert "before the last by FID-2500" in text


def test_a_forecast_says_that_earlier_evaluations_are_cheaper() -> None:
    made = Forecast("block_temp", 25, 3, 75, 20, 1, 75, 2, 0.01, 8.0, 600.0, 20, 4_000_000, False)
    assert "an evaluation 8 s, before the last step 25 % of that" in describe(make_study(recipe=FEWER), made)
    assert "an evaluation 8 s\n" in describe(make_study(), made)


def test_the_full_metric_is_not_taken_for_the_rungs(record: StudyRecord) -> None:
    assert assemble_guide(record).proxy.full == "fid_20k"


def test_means_are_of_the_objective_alone(record: StudyRecord) -> None:
    plain = assemble_guide(make_record(make_study(recipe=FEWER), [without_fewer(trial) for trial in record.trials]))
    assert assemble_guide(record).stages == plain.stages
    assert assemble_guide(record).claims == plain.claims


def without_fewer(trial: TrialRecord) -> TrialRecord:
    rungs = (
        rung.model_copy(update={"metrics": {name: value for name, value in rung.metrics.items() if name != "fid_2500"}})
        for rung in trial.rungs
    )
    return trial.model_copy(update={"rungs": tuple(rungs)})


def test_a_study_whose_rungs_draw_all_says_nothing_of_it() -> None:
    guide = assemble_guide(typical())
    assert guide.rung_objective == guide.objective
    assert guide.pruning.rung is None
    assert "draw fewer samples" not in render_markdown(guide, {})
