"""The probe's section: what is picked, averaged, compared by seed, and said."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from sweeper.guide.analysis.representation_probe import representation_probe
from sweeper.guide.analysis.stage_table import evidence
from sweeper.guide.assemble import assemble_guide
from sweeper.guide.schema.guide import Guide
from sweeper.records import Cell, Rung, Stage, StudyRecord, TrialRecord
from sweeper.render.markdown import render_markdown
from sweeper.render.tables.guide_tables import health_table
from sweeper.render.tables.probe_tables import probe_step_table, probe_table
from tests.sweeper.guide.study_records import BASELINE, make_record, make_study, setting, trial
from trainer.recipe.metrics import VALIDATION_IMAGES

WEAK, MARKED = setting((2,), 0.01, 1.0), setting((1,), 0.25, 0.5, mark="paper's default")
OTHER = setting((3,), 0.25, 0.25)
GAIN = {"baseline": 0.0, WEAK.key: 0.02, MARKED.key: -0.04, OTHER.key: 0.3}


def probed(cell: Cell, seed: int, fid: float, stage: Stage = "screen", every_rung: bool = True) -> TrialRecord:
    """A trial whose probe is better in later blocks and at higher levels, and by the cell's gain."""
    made = trial(cell, seed, fid, stage)
    rungs = []
    for rung in made.rungs:
        last, added = rung.step == 800, {}
        for block in range(4):
            for level in (25, 75):
                accuracy = 0.5 + 0.05 * block + level / 1000 + GAIN[cell.key] + 0.001 * seed * (1 + GAIN[cell.key])
                added[f"linear_probe_t{level}.block_{block}"] = accuracy - (0 if last else 0.1)
                added[f"knn_t{level}.block_{block}"] = accuracy - 0.2
                added[f"cka_t{level}.block_{block}"] = 0.9 - 0.1 * block
            own = block in cell.dispersion.blocks
            added[f"uniformity.block_{block}"] = -2.0 - own
            added[f"alignment.block_{block}"] = 0.5 * (1 + own)
        if last or stage == "screen":
            rungs.append(Rung(step=rung.step, metrics=rung.metrics | (added if last or every_rung else {})))
    return made.model_copy(update={"rungs": tuple(rungs)})


def record(every_rung: bool = True, fresh: bool = False) -> StudyRecord:
    cells = [(BASELINE, 12.0), (WEAK, 11.0), (MARKED, 15.0), (OTHER, 12.5)]
    trials = [probed(cell, seed, fid + 0.1 * seed, "screen", every_rung) for cell, fid in cells for seed in (0, 1, 2)]
    if fresh:
        trials += [probed(cell, seed, fid, "confirm", every_rung) for cell, fid in cells[:2] for seed in (100, 101)]
    return make_record(make_study(), trials)


def test_the_lowest_and_the_marked_setting_stand_beside_the_baseline() -> None:
    probe = representation_probe(evidence(record()))
    assert probe is not None
    assert [arm.key for arm in probe.arms] == ["baseline", WEAK.key, MARKED.key]
    assert probe.stage == "screen"
    best = probe.baseline.best
    assert (best.block, best.level) == (3, 0.75)
    assert best.linear == pytest.approx(0.5 + 0.15 + 0.075 + 0.001)
    assert best.neighbours == pytest.approx(best.linear - 0.2)
    assert best.similarity == pytest.approx(0.6)


def test_fresh_seeds_go_before_the_screens() -> None:
    probe = representation_probe(evidence(record(fresh=True)))
    assert probe is not None
    assert (probe.stage, probe.baseline.n) == ("confirm", 2)
    assert [arm.key for arm in probe.settings] == [WEAK.key]
    # Fresh trials are not measured on the way.
    assert [round(at.linear, 3) for at in probe.baseline.steps] == [0.526, 0.626]


def test_the_change_is_paired_by_seed_with_its_t_interval() -> None:
    probe = representation_probe(evidence(record()))
    assert probe is not None
    arm = probe.settings[1]
    differences = [-0.04 + 0.001 * seed * -0.04 for seed in (0, 1, 2)]
    # These seeds agree to within a share of an image at each of eight places: the mean is known to that, no better.
    places = [f"linear_probe_t{level}.block_{block}" for level in (25, 75) for block in range(4)]
    seen = {one.rungs[-1].metrics[place] for one in record().trials for place in places}
    gaps = np.diff(sorted(seen))
    step = min(gaps[gaps > 0.5 / VALIDATION_IMAGES]) / len(places)
    assert np.std(differences, ddof=1) < step
    interval = stats.t.interval(0.95, 2, np.mean(differences), step / np.sqrt(3))
    assert (arm.change, arm.low, arm.high) == pytest.approx((np.mean(differences), *interval))
    assert probe.baseline.change is None


def test_steps_are_shown_only_where_earlier_rungs_were_probed() -> None:
    guide = assemble_guide(record())
    assert probe_step_table(guide).header[1:] == ("step 400", "step 800")
    assert probe_step_table(guide).rows[0][1:] == ("52.6 %", "62.6 %")
    assert not probe_step_table(assemble_guide(record(every_rung=False))).rows


def test_a_guide_tells_accuracies_by_block_and_level_with_and_without() -> None:
    guide = assemble_guide(record())
    shown = probe_table(guide)
    assert shown.header == ("after", "cell", "t = 0.25", "t = 0.75", "CKA with other blocks")
    assert shown.rows[0] == ("block 0", "baseline (lambda 0)", "52.6 % (32.6 %)", "57.6 % (37.6 %)", "0.90")
    assert shown.rows[1][1:3] == (WEAK.label, "54.6 % (34.6 %)")
    better, worse = guide.probe_words
    assert better.startswith(f"{WEAK.label}: the linear probe's accuracy over all blocks and levels is higher than")
    assert "is lower than the baseline's (-4.0 points [-4.0, -4.0] on 3 seeds)" in worse
    assert worse.endswith("the baseline's 72.6 % in block 3 at t = 0.75.")
    text = render_markdown(guide, {})
    assert "### What the tokens know" in text
    assert "Mean over 3 screening seeds." in text
    assert Guide.model_validate_json(guide.model_dump_json()) == guide


def test_a_change_whose_interval_holds_zero_is_not_called_one() -> None:
    trials = [probed(cell, seed, 12.0) for cell in (BASELINE, WEAK) for seed in (0, 1, 2)]
    noisy = trials[3].rungs[-1].metrics
    lower = {name: value - 0.2 if name.startswith("linear") else value for name, value in noisy.items()}
    rungs = (trials[3].rungs[0], Rung(step=800, metrics=lower))
    trials[3] = trials[3].model_copy(update={"rungs": rungs})
    (said,) = assemble_guide(make_record(make_study(), trials)).probe_words
    assert "cannot be distinguished from the baseline's (-4.7 points [" in said


def test_a_study_without_a_probe_has_no_such_section_and_its_health_table_the_old_columns() -> None:
    guide = assemble_guide(
        make_record(make_study(), [trial(cell, seed) for cell in (BASELINE, WEAK) for seed in (0, 1)])
    )
    assert guide.probe is None
    assert "What the tokens know" not in render_markdown(guide, {})
    assert health_table(guide).header[-1] == "rank / baseline"


def test_health_has_uniformity_and_alignment_beside_the_baselines_at_the_same_block() -> None:
    guide = assemble_guide(record())
    shown = health_table(guide)
    assert shown.header[-2:] == ("uniformity - baseline", "alignment / baseline")
    assert {row[-2:] for row in shown.rows} == {("-1.00", "2.00")}
