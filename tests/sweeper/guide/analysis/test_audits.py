"""What a guide says of its seeds: how many a gain takes, and what lambda 0's further ones tell."""

from __future__ import annotations

from sweeper.guide.assemble import assemble_guide
from sweeper.guide.schema.audits import SeedAudit
from sweeper.guide.schema.guide import Guide
from sweeper.records import Cell
from tests.sweeper.guide.study_records import grid_cells, make_record, make_study, setting, simulate


def with_further_baseline(further: int) -> Guide:
    """A screen of three seeds, lambda 0 on further ones; a harmful and a harmless setting on five fresh seeds."""
    study = make_study(screen={"baseline_seeds": 3 + further} if further else {})
    cells = [setting((block,), 0.01, tau) for block in (0, 1, 2) for tau in (0.25, 0.5)]

    def truth(cell: Cell) -> float:
        return 0.08 if cell == cells[0] else 0.0

    rows = simulate(study, cells, truth, noise=0.05, shared=0.02)
    rows += simulate(study, (), truth, seeds=range(3, 3 + further), noise=0.05, shared=0.02, random=2)
    fresh = simulate(study, cells[:2], truth, "confirm", range(100, 105), 0.05, random=1)
    return assemble_guide(make_record(study, [*rows, *fresh]))


def test_the_baselines_further_seeds_tell_of_its_bad_runs() -> None:
    few, many = with_further_baseline(0), with_further_baseline(22)
    assert many.main.seeds == few.main.seeds == (0, 1, 2)
    assert many.main.baseline is not None
    assert many.main.baseline.n == 25
    # Changes stay those on shared seeds, and the baseline's figure beside them is of these.
    assert [one.change for one in many.main.cells] == [one.change for one in few.main.cells]
    assert {one.against.n for one in many.main.cells if one.against} == {3}
    # 3 shared runs, half of 22 and 5 fresh ones are the 19 from which on harm need not exceed what bad runs hide.
    hurting = [next(claim for claim in guide.claims if claim.direction == "higher") for guide in (few, many)]
    assert [claim.standing for claim in hurting] == ["suggestive", "confirmed hurts"]
    said = next(item.value for item in many.protocol if item.name == "screen")
    assert said == f"grid, seeds 0, 1, 2; lambda 0 also on {', '.join(map(str, range(3, 25)))}"


def test_a_guide_says_where_looks_take_more_seeds_than_judging_once_or_show_nothing() -> None:
    def audit(noise: float) -> SeedAudit:
        study = make_study(confirm={"top": 3, "seeds": "auto", "limit": 12})
        return assemble_guide(
            make_record(study, simulate(study, grid_cells(study), lambda _: 0.0, noise=noise)), surface=False
        ).seeds

    quiet, noisy, loud = audit(0.02), audit(0.05), audit(0.09)
    assert quiet.needed is not None
    assert quiet.needed_fewest is not None
    assert quiet.needed_most is not None
    assert quiet.needed_fewest < quiet.needed < quiet.needed_most
    known = f"{quiet.needed_fewest} to {quiet.needed_most} by the noise's 95 % interval"
    assert quiet.needed_words == f"{quiet.needed} fresh seeds ({known})"
    assert noisy.needed is not None
    assert noisy.needed_once is not None
    assert noisy.needed_once <= noisy.needed * 2 / 3
    known = f"{noisy.needed_fewest} to more than 200 by the noise's 95 % interval"
    assert (
        noisy.needed_words == f"{noisy.needed} fresh seeds ({known}), or {noisy.needed_once} if tested once at the end"
    )
    assert loud.needed is None
    assert "if tested once at the end; tests at every look mostly give up so small a gain" in loud.needed_words
    assert loud.gate.passed is False
