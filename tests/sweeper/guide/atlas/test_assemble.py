"""From records to an atlas: what is found, what is not, and what is left out with a reason."""

from collections.abc import Mapping

import pytest

from sweeper.guide.atlas.assemble import assemble_atlas
from sweeper.guide.atlas.schema import Atlas
from sweeper.records import StudyRecord, TrialRecord
from sweeper.study import further_seeds
from tests.sweeper.guide.atlas.many_studies import lambda_hurts, last_block_is_best, nothing, record, scopes
from tests.sweeper.guide.study_records import grid_cells, make_record, simulate


def printed(atlas: Atlas) -> set[tuple[str, str, str]]:
    return {(one.knob, one.kind, one.level) for one in atlas.heuristics}


def test_where_nothing_does_anything_no_heuristic_is_printed() -> None:
    atlas = assemble_atlas(scopes(nothing))
    assert atlas.heuristics == ()
    assert atlas.headline.startswith(
        "No heuristic: no rule for block, lambda or tau is shown to hold over 6 scopes on 2 data sets"
    )
    assert len(atlas.scopes) == 6
    assert atlas.data_sets == ("digits", "mnist5k")


def test_a_block_that_is_best_in_every_scope_is_a_heuristic() -> None:
    atlas = assemble_atlas(scopes(last_block_is_best))
    assert ("block", "prefer", "last third") in printed(atlas)
    [rule] = [one for one in atlas.heuristics if one.knob == "block"]
    assert rule.rule == "Of blocks, choose one in the last third of the network."
    assert all(check.made and check.outcome == "holds" for check in rule.checks)
    # Each scope left out, and each of the two data sets whole.
    assert {check.left_out for check in rule.checks} == {*((n,) for n in range(1, 7)), (1, 3, 5), (2, 4, 6)}


def test_a_lambda_that_hurts_everywhere_is_to_be_avoided() -> None:
    atlas = assemble_atlas(scopes(lambda_hurts))
    assert {("lambda", "avoid", "0.1 to 1")} <= printed(atlas)
    assert not any(one.kind == "use" for one in atlas.heuristics)


def test_the_loss_in_mean_distances_has_lambdas_of_its_own() -> None:
    """The same weight may do harm in one form and nothing in the other: together they would only disagree."""
    harmful, harmless = scopes(lambda_hurts), scopes(nothing, tau_units="relative")
    others = [make_record(one.study.model_copy(update={"name": f"r_{one.study.name}"}), one.trials) for one in harmless]
    atlas = assemble_atlas([*harmful, *others])
    [knob] = [one for one in atlas.knobs if one.knob == "lambda"]
    changes = {level.level: [one.change for one in level.scopes] for level in knob.levels}
    assert min(changes["0.1 to 1"]) > 0.1
    assert max(map(abs, changes["0.1 to 1 with tau relative"])) < 0.06
    assert ("lambda", "avoid", "0.1 to 1") in printed(atlas)
    assert not any(level.endswith("relative") for _, _, level in printed(atlas))


def test_a_lambda_expected_to_change_nothing_that_matters_is_named() -> None:
    [said] = [point for point in assemble_atlas(scopes(nothing)).points if point.startswith("Expected to change")]
    assert "less than 5 % in another scope" in said
    assert not any(point.startswith("Expected to change") for point in assemble_atlas(scopes(lambda_hurts)).points[:1])
    few = assemble_atlas(scopes(nothing, count=4))
    assert not any(point.startswith("Expected to change") for point in few.points)


def test_what_helps_in_some_scopes_alone_is_no_heuristic_and_says_why() -> None:
    atlas = assemble_atlas(scopes([last_block_is_best] * 3 + [nothing] * 3))
    assert ("block", "prefer", "last third") not in printed(atlas)
    [rule] = [one for one in atlas.rejected if (one.knob, one.level) == ("block", "last third")]
    assert rule.reason


def test_four_scopes_make_no_heuristic_however_clear_they_are() -> None:
    atlas = assemble_atlas(scopes(last_block_is_best, count=4))
    assert atlas.heuristics == ()
    assert "at least 5 scopes are needed" in atlas.headline
    assert any("Seen so far" not in point for point in atlas.points)


def test_what_was_the_same_in_every_scope_is_said_without_being_a_rule() -> None:
    atlas = assemble_atlas(scopes(lambda_hurts, count=3))
    assert any(point.startswith("Seen so far, and no rule yet") for point in atlas.points)


def test_studies_of_one_training_are_one_scope_however_they_are_measured() -> None:
    records = [record("a"), record("b", eval={"samples": 5000}), record("c", train={"steps": 900})]
    atlas = assemble_atlas(records)
    assert [row.studies for row in atlas.scopes] == [("a", "b"), ("c",)]


def test_a_part_of_a_data_set_is_no_data_set_of_its_own() -> None:
    atlas = assemble_atlas([record("a"), record("b", data={"name": "digits", "limit": 100})])
    assert [row.data for row in atlas.scopes] == [1, 1]
    assert any("All scopes are of one data set, digits" in point for point in atlas.points)


def test_the_sweep_of_a_scope_is_judged_on_fresh_seeds_alone() -> None:
    atlas = assemble_atlas(scopes(last_block_is_best))
    assert all(row.best and row.best.stage == "confirm" for row in atlas.scopes)
    assert atlas.expected is not None
    assert atlas.expected.k == 6
    assert atlas.expected.mean == pytest.approx(-0.22, abs=0.05)
    screened = assemble_atlas([_without_fresh(one) for one in scopes(nothing)])
    assert all(row.best and row.best.stage == "screen" for row in screened.scopes)
    assert screened.expected is None


def test_a_study_that_is_not_finished_is_listed_with_the_reason() -> None:
    whole = record("a")
    half = make_record(whole.study, [trial for trial in whole.trials if trial.spec.seed == 0])
    assert [(one.study, one.reason) for one in assemble_atlas([half]).unused] == [("a", "its screen is not finished")]
    assert assemble_atlas([half]).headline == "No heuristic: none of these studies can be used."


def test_a_study_judged_by_another_metric_is_listed_with_the_reason() -> None:
    other = record("b", train={"steps": 900})
    study = other.study.model_copy(update={"objective": "val_loss"})
    atlas = assemble_atlas([record("a"), record("c"), other.model_copy(update={"study": study})])
    assert [(one.study, one.reason) for one in atlas.unused] == [("b", "judged by validation loss, the others by FID")]


def test_a_study_at_the_floor_speaks_of_lambda_alone_and_says_so() -> None:
    trials = [
        trial.model_copy(update={"rungs": tuple(_at_floor(rung) for rung in trial.rungs)})
        for trial in record("a", lambda_hurts).trials
    ]
    atlas = assemble_atlas([make_record(record("a").study, trials)])
    assert [knob.knob for knob in atlas.knobs] == ["lambda"]
    assert "block and tau: every setting is at the loss's floor" in atlas.unused[0].reason


def test_a_level_that_was_stopped_stands_with_its_last_rung() -> None:
    whole = record("a", lambda_hurts)
    stopped = [
        trial.model_copy(update={"state": "pruned", "rungs": trial.rungs[:1]})
        if trial.spec.stage == "screen" and trial.spec.cell.dispersion.lam == 0.03
        else trial
        for trial in whole.trials
    ]
    [knob] = [one for one in assemble_atlas([make_record(whole.study, stopped)]).knobs if one.knob == "block"]
    assert [level.scopes[0].stopped for level in knob.levels] == [1, 1, 1]
    assert all(level.scopes[0].change > 0.1 for level in knob.levels)


def test_further_seeds_of_lambda_0_take_its_luck_out_of_every_level() -> None:
    plain = record("a").study
    rich = plain.model_copy(update={"screen": plain.screen.model_copy(update={"baseline_seeds": 19})})
    screen = simulate(plain, grid_cells(plain), nothing, noise=0.1, shared=0.01)
    unlucky = [_times(trial, 1.15) if trial.spec.cell.role == "baseline" else trial for trial in screen]
    further = simulate(plain, [], nothing, seeds=further_seeds(rich), noise=0.1, shared=0.01, random=7)
    assert len(further) == 16
    known = assemble_atlas([make_record(rich, [*unlucky, *further])]).knobs
    for knob, without in zip(known, assemble_atlas([make_record(plain, unlucky)]).knobs, strict=True):
        assert [level.level for level in knob.levels] == [level.level for level in without.levels]
        for corrected, lucky in zip(knob.levels, without.levels, strict=True):
            assert abs(corrected.scopes[0].change) < 0.6 * abs(lucky.scopes[0].change)


def test_a_level_with_a_setting_that_diverged_is_marked() -> None:
    whole = record("a")
    trials = [
        trial.model_copy(update={"state": "diverged"}) if trial.spec.cell.dispersion.lam == 0.03 else trial
        for trial in whole.trials
    ]
    [knob] = [one for one in assemble_atlas([make_record(whole.study, trials)]).knobs if one.knob == "block"]
    assert [level.diverged for level in knob.levels] == [1, 1, 1]


def test_the_order_of_studies_changes_the_numbers_of_scopes_alone() -> None:
    records = scopes(last_block_is_best)
    there, back = assemble_atlas(records), assemble_atlas(records[::-1])
    assert printed(there) == printed(back)
    assert there.expected is not None
    assert back.expected is not None
    assert there.expected.mean == pytest.approx(back.expected.mean, rel=1e-9)


def test_lambda_is_in_units_of_gradients_where_every_study_measured_them() -> None:
    measured = [_with_gradients(one) for one in scopes(lambda_hurts, count=3)]
    atlas = assemble_atlas(measured)
    assert atlas.lambda_unit == "gradient ratio"
    [knob] = [one for one in atlas.knobs if one.knob == "lambda"]
    # Twice lambda next to the baseline: what larger lambdas recorded, with the gradient gone, does not count.
    assert [level.level for level in knob.levels] == ["0.001 to 0.01", "0.01 to 0.1"]
    assert assemble_atlas([*measured[:2], scopes(lambda_hurts, count=3)[2]]).lambda_unit == "loss ratio"


def _with_gradients(one: StudyRecord) -> StudyRecord:
    def ratio(lam: float) -> float:
        return 2 * lam if lam < 0.01 else 1e-6

    trials = [
        trial.model_copy(
            update={
                "rungs": tuple(
                    rung.model_copy(
                        update={"metrics": rung.metrics | {"gradient_ratio": ratio(trial.spec.cell.dispersion.lam)}}
                    )
                    for rung in trial.rungs
                )
            }
        )
        if trial.spec.cell.dispersion.lam
        else trial
        for trial in one.trials
    ]
    return make_record(one.study, trials)


def _times(trial: TrialRecord, factor: float) -> TrialRecord:
    """The trial with its FID so many times as large."""

    def scaled(metrics: Mapping[str, float]) -> dict[str, float]:
        return {name: value * factor if "fid" in name else value for name, value in metrics.items()}

    rungs = tuple(rung.model_copy(update={"metrics": scaled(rung.metrics)}) for rung in trial.rungs)
    return trial.model_copy(update={"rungs": rungs})


def _without_fresh(one: StudyRecord) -> StudyRecord:
    return make_record(one.study, [trial for trial in one.trials if trial.spec.stage == "screen"])


def _at_floor(rung):  # type: ignore[no-untyped-def]
    metrics = rung.metrics | ({"floor_share": 1.0} if "floor_share" in rung.metrics else {})
    return rung.model_copy(update={"metrics": metrics})
