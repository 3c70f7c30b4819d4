from __future__ import annotations

import pytest

from sweeper.guide.assemble import assemble_guide
from sweeper.guide.schema.guide import Guide
from sweeper.guide.schema.heuristics import Heuristic
from sweeper.records import Cell, StudyRecord
from tests.sweeper.guide.study_records import grid_cells, large_search, make_record, make_study, setting, simulate

BEST = setting((2,), 0.01, 0.5)


def _gain(cell: Cell) -> float:
    """Block 2 is the best, tau does nothing, and the larger lambda costs a fifth; all but that help."""
    away = abs(cell.dispersion.blocks[0] - 2)
    return -0.3 + 0.1 * away + (0.2 if cell.dispersion.lam > 0.1 else 0.0)


def _harm(cell: Cell) -> float:
    return 0.0 if cell.dispersion.lam < 0.1 else 0.4


def _unsaturated(record: StudyRecord) -> StudyRecord:
    """The same study with a loss that never comes near its floor."""
    trials = [
        one.model_copy(
            update={
                "rungs": tuple(
                    rung.model_copy(update={"metrics": {**rung.metrics, "floor_share": 0.0}}) for rung in one.rungs
                )
            }
        )
        for one in record.trials
    ]
    return record.model_copy(update={"trials": tuple(trials)})


def _guide(effect, noise: float = 0.01, fresh: tuple[Cell, ...] = (), **changes: object) -> Guide:
    study = make_study(**changes)
    trials = simulate(study, grid_cells(study), effect, noise=noise)
    if fresh:
        trials += simulate(study, fresh, effect, "confirm", range(100, 105), noise, random=1)
    return assemble_guide(_unsaturated(make_record(study, trials)))


def _row(guide: Guide, knob: str) -> Heuristic:
    row = guide.heuristics.row(knob)
    assert row is not None
    return row


def test_a_confirmed_setting_is_used_and_every_knob_has_its_range_and_its_step() -> None:
    guide = _guide(_gain, fresh=(BEST, setting((1,), 0.01, 0.5)))
    assert guide.heuristics.use == BEST.key
    block, lam, tau = (_row(guide, knob) for knob in ("block", "lambda", "tau"))
    assert (block.use, lam.use, tau.use) == ("2", "0.01", "0.5")
    assert block.safe == "only 2"
    assert tau.safe == "0.25 to 1"
    assert {one.level: one.reach for one in lam.levels} == {"0": "costs", "0.01": "use", "0.25": "costs"}
    assert block.step.startswith("1: +9")
    assert "; 3: +1" in block.step
    assert block.fresh.startswith("1: +1")
    # What fresh seeds confirm is the setting against lambda 0, not its block against another.
    assert lam.grade == "against 0 confirmed on 5 fresh seeds; range: screening, 3 seeds"
    assert block.grade == tau.grade == "screening, 3 seeds"
    assert lam.fresh.startswith("back to 0: +")
    assert "0: " not in lam.step
    assert guide.verdict.points[0] == "Within 5 % of the setting that helps, by the screen: tau 0.25 to 1."


def test_where_nothing_helps_the_table_says_how_much_does_no_harm() -> None:
    guide = _guide(_harm, fresh=(setting((0,), 0.01, 0.5), setting((0,), 0.25, 0.5)), noise=0.005)
    assert guide.heuristics.use == "baseline"
    lam = _row(guide, "lambda")
    assert (lam.use, lam.safe) == ("0", "0 to 0.01")
    assert "0.25: confirmed to hurt" in lam.fresh
    assert _row(guide, "block").use == "not used at lambda 0"
    assert "lambda 0.01 costs at most 5 % on average" in guide.verdict.points[0].lower()
    assert any(rule.rule == "Keep lambda below 0.25" for rule in guide.rules)


def test_at_the_floor_block_and_tau_mean_nothing_and_their_rows_say_so() -> None:
    study = make_study(space={"block": [0, 1], "lambda": [0.25], "tau": [0.25, 0.5, 1.0]})
    guide = assemble_guide(make_record(study, simulate(study, grid_cells(study), lambda _: 0.1)))
    for knob in ("block", "tau"):
        assert _row(guide, knob).safe == "means nothing here: 6 of 6 settings saturated ◦"
        assert not _row(guide, knob).levels


def test_too_few_settings_have_rows_and_a_reason_instead_of_ranges() -> None:
    study = make_study(space={"block": [0, 1], "lambda": [0.01], "tau": [0.5]})
    guide = assemble_guide(make_record(study, simulate(study, grid_cells(study), _harm)))
    assert guide.heuristics.reason == "2 finished settings, too few for a surface, which takes 4"
    assert _row(guide, "block").safe == "not known"
    assert guide.heuristics.cells == ()


def test_fresh_seeds_overrule_what_the_screen_holds_safe() -> None:
    """A lambda at which a setting is confirmed to hurt is not called harmless."""
    study = make_study()
    hurt = setting((0,), 0.01, 0.5)
    trials = simulate(study, grid_cells(study), lambda _: 0.0, noise=0.005)
    trials += simulate(study, [hurt], lambda _: 0.3, "confirm", range(100, 105), 0.005, random=1)
    guide = assemble_guide(_unsaturated(make_record(study, trials)))
    assert guide.claims[0].standing == "confirmed hurts"
    assert next(one.reach for one in _row(guide, "lambda").levels if one.level == "0.01") == "open"


def test_what_is_suggestive_says_whether_of_harm_or_of_a_gain() -> None:
    guide = _guide(lambda _: 0.15, noise=0.06, fresh=(BEST,))
    assert guide.claims[0].standing == "suggestive"
    assert _row(guide, "lambda").fresh == "0.01: suggestive of harm (+15 % [+8.4, +22])"
    assert f"{BEST.label} may hurt: look again with more seeds" in {rule.rule for rule in guide.rules}


def test_the_surface_serves_a_random_search_and_takes_a_part_of_a_large_one() -> None:
    guide = assemble_guide(large_search(600))
    assert 100 < len(guide.heuristics.cells) <= 161 < len(guide.main.cells)
    levels = [one.level for one in _row(guide, "lambda").levels]
    assert 3 <= len(levels) <= 7
    assert all(len(level.strip("0.")) <= 2 for level in levels)


def test_the_map_holds_a_change_and_a_chance_for_every_finished_setting() -> None:
    guide = _guide(_gain)
    cells = {one.key: one for one in guide.heuristics.cells}
    assert cells.keys() == {one.key for one in guide.main.cells}
    assert cells[BEST.key].near_best > 0.9
    worst = setting((0,), 0.25, 0.5)
    assert cells[worst.key].near_best < 0.05
    assert cells[worst.key].change.mean == pytest.approx(1.1 - 1, abs=0.1)


@pytest.mark.parametrize("units", ["absolute", "relative"])
def test_a_setting_beside_the_grid_sweeps_no_knob_and_in_other_units_says_nothing_of_lambda(units: str) -> None:
    study = make_study(confirm=None)
    beside = setting((1,), 0.5, 0.5, mark="published")
    beside = beside.model_copy(update={"dispersion": beside.dispersion.model_copy(update={"tau_units": units})})
    trials = simulate(study, [*grid_cells(study), beside], _harm, noise=0.01)
    guide = assemble_guide(_unsaturated(make_record(study, trials)))
    assert {row.knob for row in guide.heuristics.rows} == {"block", "lambda", "tau"}
    assert ("0.5" in {one.level for one in _row(guide, "lambda").levels}) is (units == "absolute")
    assert "0.5" not in guide.verdict.points[0] or units == "absolute"


def test_settings_that_form_no_grid_are_held_against_round_levels_between_them() -> None:
    study = make_study(
        space={
            "block": [0, 2],
            "lambda": {"low": 1e-3, "high": 1, "count": 5},
            "tau": {"low": 0.1, "high": 2, "count": 5},
        },
        screen={"sampler": "tpe", "trials": 27},
    )
    lams, taus = (0.0017, 0.0046, 0.013, 0.037, 0.11, 0.29, 0.73, 0.97), (1.13, 0.31, 0.52, 1.87, 0.14, 0.77, 0.41, 1.4)
    cells = [setting((2 * (i % 2),), lam, tau) for i, (lam, tau) in enumerate(zip(lams, taus, strict=True))]
    trials = simulate(study, cells, lambda cell: 0.4 if cell.dispersion.lam > 0.2 else 0.0, noise=0.02)
    guide = assemble_guide(_unsaturated(make_record(study, trials)))
    assert guide.heuristics.reason == ""
    assert len(guide.heuristics.cells) == 8
    lam, tau = _row(guide, "lambda"), _row(guide, "tau")
    # Not the eight values, each of one setting, but some between the lowest and the highest.
    assert [one.level for one in lam.levels] == ["0", "0.0017", "0.006", "0.022", "0.077", "0.27", "0.97"]
    assert len(tau.levels) == 6
    reach = {one.level: one.reach for one in lam.levels}
    assert {reach["0.006"], reach["0.022"]} <= {"safe", "open"}
    assert reach["0.97"] == "costs"
    assert [one.level for one in _row(guide, "block").levels] == ["0", "2"]
