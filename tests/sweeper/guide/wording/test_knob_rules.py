"""Rules about knobs say what was seen, and of whom."""

from __future__ import annotations

import pytest

from sweeper.guide.assemble import assemble_guide
from sweeper.records import Cell
from tests.sweeper.guide.study_records import grid_cells, make_record, make_study, setting, simulate

STRONG = [setting((block,), 0.5, 0.5, mark="published") for block in (0, 1, 2)]


def of_other_units(cell: Cell) -> Cell:
    return cell.model_copy(update={"dispersion": cell.dispersion.model_copy(update={"tau_units": "relative"})})


def effect(cell: Cell) -> float:
    return 0.7 if cell.dispersion.lam == 0.5 else 0.0


@pytest.mark.parametrize(("tested", "others"), [(3, False), (2, True)])
def test_harm_from_a_lambda_on_names_others_only_where_there_are_others(tested: int, others: bool) -> None:
    study = make_study(space={"block": [0, 1, 2], "lambda": [0.01], "tau": [0.25, 0.5]})
    trials = simulate(study, [*grid_cells(study), *STRONG], effect, noise=0.02)
    fresh = [setting((1,), 0.01, 0.5), *STRONG[:tested]]
    trials += simulate(study, fresh, effect, "confirm", range(100, 105), noise=0.02, random=1)
    rules = {rule.rule: rule for rule in assemble_guide(make_record(study, trials)).rules}
    rule = rules["Keep lambda below 0.5"]
    assert rule.evidence.startswith(f"{tested} of 3 settings with lambda 0.5 or more confirmed to hurt (block ")
    assert ("the others averaged above the baseline" in rule.evidence) is others
    assert rule.grade == ("screening" if others else "confirmed")


@pytest.mark.parametrize("alike", [True, False])
def test_harm_with_tau_in_other_units_says_nothing_of_the_grids_lambdas(alike: bool) -> None:
    study = make_study(space={"block": [0, 1, 2], "lambda": [0.01], "tau": [0.25, 0.5]})
    published = STRONG if alike else [of_other_units(cell) for cell in STRONG]
    trials = simulate(study, [*grid_cells(study), *published], effect, noise=0.02)
    fresh = [setting((1,), 0.01, 0.5), *published]
    trials += simulate(study, fresh, effect, "confirm", range(100, 105), noise=0.02, random=1)
    guide = assemble_guide(make_record(study, trials))
    assert len([claim for claim in guide.claims if claim.standing == "confirmed hurts"]) == 3
    assert ("Keep lambda below 0.5" in {rule.rule for rule in guide.rules}) is alike
