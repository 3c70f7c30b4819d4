"""A guide says what was measured: on how many seeds, of which data, and nothing that another sentence takes back."""

from __future__ import annotations

import pytest

from sweeper.guide.assemble import assemble_guide
from sweeper.guide.wording.loss_forms import forms, on_unsaturated
from sweeper.planning.cells import merged_blocks
from sweeper.planning.size import announce
from sweeper.records import Cell, Facts, StudyRecord, TrialRecord
from tests.sweeper.guide.study_records import (
    FACTS,
    control,
    grid_cells,
    large_search,
    make_record,
    make_study,
    setting,
    simulate,
    trial,
)
from trainer.recipe import Dispersion

A, B = setting((1,), 0.01, 0.5), setting((2,), 0.01, 0.5)


def both_stages(effects: dict[str, float], cells: tuple[Cell, ...] = (A, B), noise: float = 0.02) -> list[TrialRecord]:
    """Trials of a screen and five fresh seeds."""

    def effect(cell: Cell) -> float:
        return effects.get(cell.key, 0.0)

    fresh = simulate(make_study(), cells, effect, "confirm", range(100, 105), noise, random=1)
    return simulate(make_study(), cells, effect, noise=noise) + fresh


def changed(trials: list[TrialRecord], wanted: object, **fields: object) -> list[TrialRecord]:
    """The same trials, but for those with such a (stage, role or key, seed)."""
    assert isinstance(wanted, set)
    return [
        one.model_copy(update=fields) if (one.spec.stage, one.spec.cell.key, one.spec.seed) in wanted else one
        for one in trials
    ]


def scored(
    trials: list[TrialRecord], wanted: set[tuple[str, str, int]], metric: str, value: float
) -> list[TrialRecord]:
    """The same trials with another figure in the last rung of some."""

    def put(one: TrialRecord) -> TrialRecord:
        last = one.rungs[-1].model_copy(update={"metrics": {**one.rungs[-1].metrics, metric: value}})
        return one.model_copy(update={"rungs": (*one.rungs[:-1], last)})

    return [put(one) if (one.spec.stage, one.spec.cell.key, one.spec.seed) in wanted else one for one in trials]


def test_the_headline_counts_the_fresh_seeds_that_were_measured_and_not_those_that_ran() -> None:
    lost = {("confirm", "baseline", seed) for seed in (100, 101, 102)}
    guide = assemble_guide(
        make_record(make_study(), changed(both_stages({}, noise=0.1), lost, state="diverged", rungs=()))
    )
    assert guide.verdict.headline == (
        "No setting tested looked better than lambda 0 in the screen, and none is confirmed to hurt, "
        "on 2 of 5 fresh seeds."
    )
    assert not any("would probably have shown" in point for point in guide.verdict.sentences)


@pytest.mark.parametrize("key", ["baseline", A.key])
def test_a_distance_of_zero_or_less_is_named_and_never_dropped_in_silence(key: str) -> None:
    trials = scored(both_stages({A.key: -0.5}), {("confirm", key, 101)}, "fid_10k", -1e-6)
    guide = assemble_guide(make_record(make_study(), trials))
    claim = next(one for one in guide.claims if one.key == A.key)
    assert (claim.standing, claim.reason) == ("not comparable", "1 of 5 fresh seeds have a FID-10K of 0 or less")
    assert any(
        point.startswith("Left out of every comparison because the FID-10K is 0 or less")
        for point in guide.verdict.sentences
    )


def test_a_recall_of_zero_takes_the_claim_with_it_and_not_the_seed_alone() -> None:
    guide = assemble_guide(
        make_record(make_study(), scored(both_stages({}), {("confirm", A.key, 101)}, "recall_10k", 0.0))
    )
    claim = next(one for one in guide.side_claims if one.key == A.key and one.metric == "recall_10k")
    assert (claim.standing, claim.reason) == ("not comparable", "1 of 5 fresh seeds have a recall-10K of 0 or less")


def test_a_random_search_that_finished_is_not_said_to_have_no_finished_setting() -> None:
    assert assemble_guide(large_search(30)).interaction.reason == "these settings form no grid"


def test_lambda_is_not_advised_against_while_one_of_its_settings_may_be_the_best() -> None:
    study = make_study(space={"block": [0, 1, 2, 3], "lambda": [0.01, 0.25], "tau": [0.5]})
    cells = grid_cells(study)

    def effect(cell: Cell) -> float:
        return {0: 0.5, 1: 0.02}.get(cell.dispersion.blocks[0], 0.5) if cell.dispersion.lam == 0.01 else 1.0

    screen = simulate(study, cells, effect, noise=0.03)
    fresh = simulate(study, [cells[0]], effect, "confirm", range(100, 105), noise=0.001)
    guide = assemble_guide(make_record(study, [*screen, *fresh]))
    assert guide.recommendation is not None
    assert setting((1,), 0.01, 0.5).key in guide.recommendation.members
    assert not any(one.rule.startswith("Keep lambda below 0.01") for one in guide.rules)


def test_a_control_that_did_nothing_is_not_advised() -> None:
    trials = both_stages({A.key: -0.2}, (control(), A, B), noise=0.08)
    guide = assemble_guide(make_record(make_study(), trials))
    assert not any("ontrol weight-decay" in one.rule for one in guide.rules)


def test_a_setting_and_the_control_that_rivals_it_are_advised_in_one_sentence() -> None:
    guide = assemble_guide(
        make_record(make_study(), both_stages({A.key: -0.2, control().key: -0.21}, (control(), A, B)))
    )
    rules = [one.rule for one in guide.rules if "weight-decay" in one.rule]
    assert rules[0] == f"Use {A.label} or the plain control weight-decay: the setting is not shown to be better"
    assert any(point.startswith(f"{rules[0]};") for point in guide.verdict.points)


def test_an_equivalent_setting_that_hurts_another_outcome_is_said_to() -> None:
    study = make_study(confirm={"top": 3, "seeds": 5, "margin": 0.3})
    trials = [
        scored([one], {("confirm", A.key, one.spec.seed)}, "val_loss", 0.3)[0] if one.rungs else one
        for one in both_stages({}, noise=0.01)
    ]
    rule = next(one.rule for one in assemble_guide(make_record(study, trials)).rules if one.rule.startswith(A.label))
    assert rule.startswith(f"{A.label} may be used or left out: FID-10K stays within 30 %; but confirmed to hurt: val")


def test_the_share_of_steps_at_the_floor_is_one_figure_wherever_it_is_told() -> None:
    cell = setting((1,), 0.25, 0.5)
    trials = [trial(cell, 0), trial(cell, 1, state="pruned"), trial(setting((0,), 0.25, 0.5), 0), *both_stages({})[:1]]
    stopped = trials[1].rungs[-1]
    early = stopped.model_copy(update={"metrics": {**stopped.metrics, "floor_share": 0.9}})
    trials[1] = trials[1].model_copy(update={"rungs": (early,)})
    guide = assemble_guide(make_record(make_study(), trials))
    shown = next(one for one in guide.main.cells if one.key == cell.key)
    assert shown.floor_share == next(one for one in guide.health if one.key == cell.key).floor_share == 0.5


def read(**facts: object) -> StudyRecord:
    """A record of one trial that read such data."""
    data = {"name": "folder", "path": "images/", "image_size": 28} if facts.get("images") else {"name": "digits"}
    study = make_study(recipe={"data": data})
    one = trial(setting((1,), 0.25, 0.5), 0).model_copy(update={"facts": FACTS.model_copy(update=facts)})
    return make_record(study, [one])


def test_the_scope_names_the_data_by_path_size_and_count() -> None:
    counted = assemble_guide(read(images=2000, image_height=28, image_width=28))
    assert counted.scope.startswith("2,000 images of 28 x 28 from images/, SiT width 48")
    latents = assemble_guide(read(images=2000, image_kind="latents", image_channels=4, image_height=32, image_width=32))
    assert latents.scope.startswith("2,000 latents of 4 x 32 x 32 from images/, SiT")


def test_a_record_made_before_images_were_counted_still_loads_and_names_its_data() -> None:
    old = {name: getattr(FACTS, name) for name in ("data_hash", "extractor", "extractor_sha256", "device")}
    assert Facts.model_validate(old).images == 0
    assert assemble_guide(read()).scope.startswith("digits, SiT width 48")


def test_blocks_that_are_one_at_this_depth_are_named() -> None:
    study = make_study(recipe={"model": {"depth": 2}}, space={"block": [0.5, 1.0, 1, 0], "lambda": [0.1]})
    assert merged_blocks(study) == ("at depth 2 blocks 0.5 and 1.0 and 1 are the same, 1: measured once",)
    assert announce(study).endswith("note: " + merged_blocks(study)[0])
    assert merged_blocks(make_study()) == ()


def test_the_protocol_explains_the_forms_of_the_loss_that_occur_and_no_others() -> None:
    assert forms([Dispersion(), Dispersion(lam=0.1, tau_units="relative", local_batch=16)]) == ""
    bank = forms([Dispersion(lam=0.1), Dispersion(lam=0.1, negatives=64)])
    assert bank.startswith("memory bank N: beside its batch a sample is compared with the last N representations")
    said = forms([Dispersion(lam=0.1, features="layer_norm", tau_units="median"), Dispersion(lam=0.1, lam_end=0.5)])
    assert [part.split(":")[0] for part in said.split("; ")][:2] == ["layer-normalised", "lambda end"]
    assert said.endswith("median: tau in units of the batch's median squared distance, gradient included")


def test_knobs_that_do_nothing_at_the_floor_are_named_beside_block_and_tau() -> None:
    assert on_unsaturated(["block", "lambda", "tau"]) == "block and tau"
    assert on_unsaturated(["negatives", "lambda_end", "local_batch"]) == "block, tau, local batch and negatives"


def test_a_guide_names_what_failed_and_why() -> None:
    lost = {("screen", A.key, 2)}
    record = make_record(
        make_study(), changed(both_stages({}), lost, state="failed", rungs=(), note="RuntimeError: out of luck")
    )
    assert f"{A.label}, seed 2: RuntimeError: out of luck" in assemble_guide(record).model_dump_json()
    assert "out of luck" not in assemble_guide(make_record(make_study(), both_stages({}))).model_dump_json()
