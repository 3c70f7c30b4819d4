"""What a guide calls the arms beside the settings, and what it compares with them."""

from __future__ import annotations

from sweeper.guide.assemble import assemble_guide
from sweeper.guide.schema.guide import Guide
from sweeper.records import Cell, TrialRecord
from sweeper.render.markdown import render_markdown
from sweeper.render.tables.guide_tables import arms_table, health_table
from sweeper.study import Study
from tests.sweeper.guide.study_records import control, make_record, make_study, setting, simulate
from trainer.recipe import Dispersion

GOOD = setting((1,), 0.01, 0.5)
ADDED = {"train.repa.block": 1, "train.repa.lambda": 0.5}
REPA = control("repa", **ADDED)
BOTH = REPA.model_copy(update={"label": "both", "dispersion": Dispersion(blocks=(1,), lam=0.01, tau=0.5)})
STUDY = make_study(
    controls=[
        {"name": "repa", "set": ADDED},
        {"name": "both", "set": ADDED, "block": 1, "lambda": 0.01, "tau": 0.5},
    ]
)


def guide(study: Study = STUDY, cells: tuple[Cell, ...] = (REPA, BOTH, GOOD), **effects: float) -> Guide:
    def effect(cell: Cell) -> float:
        return effects.get("good" if cell.key == GOOD.key else cell.label, 0.0)

    rows = simulate(study, cells, effect, noise=0.003)
    rows += simulate(study, cells, effect, "confirm", range(100, 105), noise=0.003, random=1)
    return assemble_guide(make_record(study, rows))


def text(found: Guide) -> str:
    return " ".join((found.verdict.headline, *found.verdict.sentences, *(rule.rule for rule in found.rules)))


def test_an_arm_that_adds_a_loss_is_no_plain_control() -> None:
    found = guide(good=0.3, repa=-0.3, both=-0.4)
    assert "plain control" not in text(found)
    assert any(point.startswith("Control arm repa: -2") for point in found.verdict.sentences)
    assert "Use the control arm repa" in text(found)
    plain = guide(
        make_study(controls=[{"name": "weight-decay", "set": {"train.weight_decay": 0.5}}]), (control(), GOOD), good=0.3
    )
    assert any(point.startswith("Plain control weight-decay") for point in plain.verdict.sentences)


def test_a_setting_that_helps_has_a_rival_in_repa_but_not_in_an_arm_that_disperses_too() -> None:
    found = guide(good=-0.3, repa=0.0, both=-0.5)
    assert [one.control for one in found.controls] == ["repa"]
    assert found.verdict.kind == "helps"
    same = guide(good=-0.3, repa=-0.3, both=-0.5)
    assert same.verdict.kind == "helps like a control"
    assert "not shown to be better than a control arm, repa" in same.verdict.headline


def test_the_table_of_arms_says_which_disperse_and_what_their_training_costs() -> None:
    found = guide()
    table = arms_table(found)
    assert table.header[0] == "arm"
    assert table.header[-1] == "training time"
    assert [row[-1] for row in table.rows] == ["20 s", "x 1.00", "x 1.00"]
    assert found.summary[0] == "1 setting, 2 arms without dispersion and 1 with it"
    assert "both" in [row[0] for row in health_table(found).rows]
    assert "repa" not in [row[0] for row in health_table(found).rows]


def test_the_protocol_says_what_each_arm_trains_with() -> None:
    items = {item.name: item.value for item in guide().protocol}
    alone, both = items["control arms"].split(" · ")
    assert alone == "repa: train.repa.block 1, train.repa.lambda 0.5"
    assert both == "both: train.repa.block 1, train.repa.lambda 0.5; with block 1, lambda 0.01, tau 0.5"


def test_a_form_of_the_loss_that_an_arm_alone_has_is_described_and_its_floor_not_called_the_usual_one() -> None:
    banked = BOTH.model_copy(update={"dispersion": BOTH.dispersion.model_copy(update={"negatives": 64})})
    arm = {"name": "both", "set": ADDED, "block": 1, "lambda": 0.01, "tau": 0.5, "negatives": 64}
    found = guide(make_study(controls=[{"name": "repa", "set": ADDED}, arm]), (REPA, banked, GOOD))
    items = {item.name: item.value for item in found.protocol}
    assert items["control arms"].endswith("with block 1, lambda 0.01, tau 0.5, memory bank 64")
    assert items["loss"].startswith("memory bank N: ")
    assert "At its floor the loss is saturated" in render_markdown(found, {})
    assert "At the floor -log B the loss is saturated" in render_markdown(guide(), {})


def test_a_recipe_that_adds_a_loss_to_every_trial_says_so() -> None:
    losses = {"repa": {"block": 1, "lambda": 0.5}, "contrastive": {"block": 0, "lambda": 0.1}}
    added = {"train": {**losses, "activation_norm": {"block": 2, "lambda": 0.2}}}
    items = {item.name: item.value for item in guide(make_study(recipe=added), (GOOD,)).recipe}
    assert items["training"].endswith(
        "; with REPA at block 1, lambda 0.5, encoder local; with a contrastive loss at block 0, lambda 0.1, "
        "tau 0.5, l2, independent times; with a penalty on the size of representations at block 2, lambda 0.2"
    )


def test_training_time_is_the_fastest_trials_for_another_may_have_waited() -> None:
    rows = simulate(STUDY, (REPA, GOOD), lambda _: 0.0)
    slow = {("baseline", 0): 2.0, (REPA.key, 0): 1.5, (REPA.key, 1): 1.5, (REPA.key, 2): 1.5}

    def waited(trial: TrialRecord) -> TrialRecord:
        times = slow.get((trial.spec.cell.key, trial.spec.seed), 1.0)
        rungs = (
            rung.model_copy(update={"metrics": {**rung.metrics, "train_s": times * rung.metrics["train_s"]}})
            for rung in trial.rungs
        )
        return trial.model_copy(update={"rungs": tuple(rungs)})

    found = assemble_guide(make_record(STUDY, [waited(trial) for trial in rows]))
    assert [row[-1] for row in arms_table(found).rows] == ["20 s", "x 1.50"]


def test_the_verdict_names_six_arms() -> None:
    arms = [control(f"arm-{place}", **{"train.repa.block": place, "train.repa.lambda": 0.5}) for place in range(3)]
    arms += [arm.model_copy(update={"label": f"{arm.label}-both", "dispersion": BOTH.dispersion}) for arm in arms]
    given = [{"name": arm.label, "set": dict(arm.overrides)} for arm in arms[:3]]
    found = guide(make_study(controls=given), (*arms, GOOD), good=0.3)
    assert sum(point.startswith("Control arm") for point in found.verdict.sentences) == 6
