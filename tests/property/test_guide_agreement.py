"""A guide never contradicts itself: rules, verdict, recommended set and claims, over records of every kind."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeper.guide.assemble import assemble_guide
from sweeper.guide.schema.guide import Guide
from sweeper.guide.schema.statements import MOST_POINTS
from sweeper.records import Cell, StudyRecord, TrialRecord
from sweeper.study.knobs import KNOBS, level
from tests.property.heuristics_agreement import contradictions
from tests.simulation.simulate import sides
from tests.simulation.worlds import Scenario
from tests.sweeper.guide.study_records import control, grid_cells, make_record, make_study, simulate

EFFECTS = st.sampled_from([-1.0, -0.3, -0.1, -0.04, 0.0, 0.0, 0.02, 0.1, 0.3, 1.0])


@st.composite
def records(draw: st.DrawFn) -> StudyRecord:
    """Draw a study of two blocks, lambdas and taus, whose trials end in every way."""
    study = make_study(
        recipe={"model": {"preset": "compact", "depth": 2}},
        space={"block": [0, 1], "lambda": [0.01, 0.25], "tau": [0.5, 1.0]},
        controls=[{"name": "weight-decay", "set": {"train.weight_decay": 0.5}}],
        confirm={"top": 3, "seeds": draw(st.integers(2, 5)), "margin": draw(st.sampled_from([0.05, 0.3]))},
    )
    assert study.confirm is not None
    cells = [control(), *grid_cells(study)]
    effects = {cell.key: draw(EFFECTS) for cell in cells}
    noise, number = draw(st.sampled_from([0.001, 0.02, 0.1])), draw(st.integers(0, 9))

    def effect(cell: Cell) -> float:
        return effects[cell.key]

    trials = simulate(study, cells, effect, noise=noise, random=number)
    if draw(st.integers(0, 4)):
        tested = [cells[0], *draw(st.lists(st.sampled_from(cells[1:]), min_size=1, max_size=4, unique=True))]
        fresh = range(100, 100 + study.confirm.seed_count)
        trials += simulate(study, tested, effect, "confirm", fresh, noise, random=number + 10)
    for place in draw(st.lists(st.integers(0, len(trials) - 1), max_size=4)):
        trials[place] = _ended(
            trials[place], draw(st.sampled_from(["diverged", "pruned", "failed", "running", "zero"]))
        )
    return make_record(study, trials)


def _ended(trial: TrialRecord, how: str) -> TrialRecord:
    if how == "zero":
        rungs = tuple(
            one.model_copy(update={"metrics": {**one.metrics, "fid_10k": -1e-3}}) if place else one
            for place, one in enumerate(trial.rungs)
        )
        return trial.model_copy(update={"rungs": rungs})
    return trial.model_copy(update={"state": how, "rungs": trial.rungs[:1]})


@given(records())
@settings(max_examples=40, deadline=None)
def test_no_two_statements_of_a_guide_contradict_each_other(record: StudyRecord) -> None:
    guide = assemble_guide(record)
    assert not contradictions(guide)
    assert len(guide.verdict.points) <= MOST_POINTS
    _use_agrees(guide)
    _avoided_levels_hold_nothing_open(guide)
    _controls_are_advised_for_what_they_did(guide)
    _seeds_are_those_measured(record, guide)
    shares = {one.key: one.floor_share for one in guide.main.cells}
    assert all(one.floor_share == shares[one.key] for one in guide.health if one.key in shares)


@pytest.mark.parametrize(
    "scenario",
    [
        Scenario("null", "normal", 5),
        Scenario("additive", "normal", 5),
        Scenario("interaction", "t3", 5),
        Scenario("all-worse", "diverging", 3),
        Scenario("one-better-3", "normal", 8),
        Scenario("half-null", "unequal", 3),
    ],
    ids=str,
)
def test_no_simulated_guide_contradicts_its_table(scenario: Scenario) -> None:
    for number in range(4):
        for side in sides(scenario, number, 7, surface=True):
            assert not contradictions(side.guide)
            _avoided_levels_hold_nothing_open(side.guide)


WEIGHT_DECAY = {"name": "weight-decay", "set": {"train.weight_decay": 0.5}}
PAIR = make_study(space={"block": [0, 1], "lambda": [0.01, 0.25], "tau": [0.5]}, controls=[WEIGHT_DECAY])


def test_a_control_that_gains_more_contradicts_no_rule_about_the_setting_that_helps() -> None:
    def effect(cell: Cell) -> float:
        return -1.0 if cell.role == "control" else -0.3 * (cell.dispersion.lam == 0.25)

    cells = [control(), *grid_cells(PAIR)]
    screen = simulate(PAIR, cells, effect, noise=0.001)
    guide = assemble_guide(make_record(PAIR, screen + simulate(PAIR, cells, effect, "confirm", range(100, 105), 0.001)))
    assert not contradictions(guide)
    _use_agrees(guide)
    _controls_are_advised_for_what_they_did(guide)
    # What worsens with the setting does so without the control.
    assert not any("control" in rule.rule and "confirmed to hurt" in rule.rule for rule in guide.rules)


def test_without_a_surface_no_lambda_is_avoided_at_which_fresh_seeds_show_no_harm() -> None:
    def harmful(cell: Cell) -> float:
        return 0.5 if cell.dispersion.lam == 0.25 else 0.0

    cells = grid_cells(PAIR)
    screen = simulate(PAIR, cells, harmful, noise=0.001)
    lost = [_ended(one, "failed") if one.spec.cell.role == "baseline" and one.spec.seed else one for one in screen]
    for tested, avoided in (([0.01], ["0.25"]), ([0.01, 0.25], [])):
        some = [cell for cell in cells if cell.dispersion.lam in tested and cell.dispersion.blocks == (0,)]
        fresh = simulate(PAIR, some, lambda _: 0.0, "confirm", range(100, 105), 0.2)
        guide = assemble_guide(make_record(PAIR, lost + fresh))
        assert guide.heuristics.reason
        assert _rules(guide, r"Avoid lambda (.*)") == avoided
        assert not contradictions(guide)


def _rules(guide: Guide, pattern: str) -> list[str]:
    return [found[1] for one in guide.rules if (found := re.fullmatch(pattern, one.rule))]


def _plain(label: str) -> str:
    return label.replace(" ◦", "")


def _members(guide: Guide) -> dict[str, Cell]:
    """The cells held open: recommended, or not shown to be of no use."""
    cells = {one.key: one.cell for stage in guide.stages for one in stage.cells}
    open_claims = {one.key for one in guide.claims if one.standing in ("confirmed helps", "equivalent", "suggestive")}
    chosen = guide.recommendation.members if guide.recommendation else ()
    members = {*(key for key in chosen if not _table_speaks_against(guide, key)), *open_claims}
    worth = set(_rules(guide, r"Worth confirming: (.*)"))
    return {key: cell for key, cell in cells.items() if key in members or cell.label in worth}


def _table_speaks_against(guide: Guide, key: str) -> bool:
    """Whether one of a setting's levels costs too much by the heuristics table, which weighs all settings together."""
    cells = {one.key: one.cell.dispersion for stage in guide.stages for one in stage.cells}
    levels = {knob.name: value for knob in KNOBS if key in cells and (value := knob.of(cells[key])) is not None}
    rows = [row for row in guide.heuristics.rows if row.knob in levels]
    return any(level(levels[row.knob], guide.places) in row.having("costs") for row in rows)


def _use_agrees(guide: Guide) -> None:
    anyway = {_plain(one) for one in _rules(guide, r"If it has to be dispersion, use (block.*?)(?:; but .*)?")}
    uses = anyway | {_plain(one) for one in _rules(guide, r"Use (block.*?)(?: or the plain control .*)?(?:; but .*)?")}
    never = {_plain(one) for one in _rules(guide, r"Do not use (.*)")}
    open_settings = {cell.label for cell in _members(guide).values()}
    assert not never & open_settings
    assert uses <= open_settings
    assert len(uses) <= 1
    keeps = [one.rule for one in guide.rules if "eep lambda 0" in one.rule and "below" not in one.rule]
    assert len(keeps) + len(uses) == 1
    said = " ".join(guide.verdict.sentences)
    for one in uses:
        use = f"as {one}; this applies" if anyway else f"Use {one}"
        assert use in said.replace(" ◦", "")
    if not uses and guide.claims:
        assert "Use lambda 0" in said
    bets = _rules(guide, r"Keep lambda 0, or bet on (.*)")
    assert not {f"{bet}: {doubt}" for bet in bets for doubt in ("no conclusion", "not comparable")} & {
        one.rule for one in guide.rules
    }


def _avoided_levels_hold_nothing_open(guide: Guide) -> None:
    cells = [cell.dispersion for cell in _members(guide).values()]
    for limit in _rules(guide, r"Keep lambda below (.*)"):
        assert all(cell.lam < float(limit) for cell in cells)
        assert not _rules(guide, r"lambda (hardly matters) here.*")
    named = {"block": lambda cell: "+".join(map(str, cell.blocks)), "lambda": lambda cell: f"{cell.lam:g}"}
    for knob, name_of in {**named, "tau": lambda cell: f"{cell.tau:g}"}.items():
        for avoided in _rules(guide, rf"Avoid {knob} (.*)"):
            assert not {name_of(cell) for cell in cells} & set(avoided.split(", "))


def _controls_are_advised_for_what_they_did(guide: Guide) -> None:
    standing = {one.label: one for one in guide.side_claims}
    for name in _rules(guide, r"Use the plain control (.*?)(?:, which gains .*)?"):
        assert standing[name].standing == "confirmed helps"
        assert f"The plain control {name} helps as well" not in {one.rule for one in guide.rules}
    for name in _rules(guide, r"Use the plain control ([^,]*)"):
        assert standing[name].standing == "confirmed helps"
        assert guide.verdict.kind not in ("helps", "helps like a control")
    for name in _rules(guide, r"Use block.* or the plain control (.*?):.*"):
        change = standing[name].change
        assert change is not None
        assert change.mean < 0


def _seeds_are_those_measured(record: StudyRecord, guide: Guide) -> None:
    fresh = {one.spec.seed for one in record.trials if one.spec.stage == "confirm"}
    measured = [one.change.n for one in guide.claims if one.change]
    if found := re.search(r"on (?:(?:\d+ to )?(\d+) of )?(\d+) fresh seeds?", guide.verdict.headline):
        assert int(found[2]) == len(fresh)
        assert int(found[1] or found[2]) <= max(measured, default=0)
    for point in guide.verdict.sentences:
        if "would probably have shown" in point:
            assert max(measured) >= 3
    left_out = [one for one in record.trials if one.state == "complete" and _score(one, record) <= 0]
    assert bool(left_out) == any(point.startswith("Left out of every comparison") for point in guide.verdict.sentences)


def _score(trial: TrialRecord, record: StudyRecord) -> float:
    return record.study.minimised.of(trial.rungs[-1].metrics)


def test_what_is_read_of_a_guide_is_there() -> None:
    """The patterns above match today's wording, or the property would hold for want of anything to judge."""
    seen: Sequence[str] = [one.rule for record in _examples() for one in assemble_guide(record).rules]
    for start in ("Use block", "Do not use", "Keep lambda 0", "Keep lambda below", "Avoid block", "Worth confirming"):
        assert any(rule.startswith(start) for rule in seen), start


def _examples() -> list[StudyRecord]:
    study = make_study(space={"block": [0, 1], "lambda": [0.01, 0.25], "tau": [0.5]})
    cells = grid_cells(study)
    helps, hurts = ({cell.key: sign * cell.dispersion.lam for cell in cells} for sign in (-1.0, 2.0))
    found = []
    for effects in (helps, hurts):
        screen = simulate(study, cells, lambda cell, known=effects: known[cell.key], noise=0.001)
        fresh = simulate(study, cells, lambda cell, known=effects: known[cell.key], "confirm", range(100, 105), 0.001)
        found += [make_record(study, screen), make_record(study, [*screen, *fresh])]

    def block_0(cell: Cell) -> float:
        return -0.3 if cell.dispersion.blocks == (0,) else 0.3

    trials = simulate(study, cells, block_0, noise=0.001)
    return [*found, make_record(study, trials + simulate(study, cells[:1], block_0, "confirm", range(100, 105), 0.001))]
