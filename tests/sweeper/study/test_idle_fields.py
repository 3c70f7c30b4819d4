"""Keys of a study that change nothing beside its others are refused at their lines, and accepted where they act."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from pydantic import ValidationError
from ruamel.yaml import YAML

from sweeper.commands.report import read_record
from sweeper.errors import StudyError
from sweeper.guide.assemble import assemble_guide
from sweeper.planning.cells import cells
from sweeper.study import Screen, Study
from sweeper.study.idle_fields import FORM, STUDY
from sweeper.study.knobs import KNOBS
from sweeper.study.registration import Registration
from sweeper.study.yaml_files import read_study
from tests.sweeper.guide.study_records import BASELINE, make_record, trial
from tests.trainer.recipe.test_idle_fields import leaves
from trainer.recipe import VARIANTS
from trainer.recipe.idle_fields import KEPT

STUDY_TEXT = """\
name: s
question: q?
space:
  block: [0]
  lambda: [0.1]
"""
COVARIANCE = "  variant: [covariance]\n"
COSINE = "  variant: [cosine]\n"

# Of each row: lines that change nothing and the place of the key, a line that makes it act, and the line it replaces.
CASES: Mapping[str, tuple[str, str, str, str]] = {
    "recipe.eval.cfg_curve": ("recipe:\n  eval: {cfg_curve: [1, 2]}\n", "7:21", "confirm: {}\n", ""),
    "recipe.eval.full_samples": ("recipe:\n  eval: {full_samples: 20000}\n", "7:24", "confirm: {}\n", ""),
    "screen.pruner": ("screen: {pruner: median, rungs: [1]}\n", "6:18", "rungs: [0.5, 1]", "rungs: [1]"),
    "screen.audit_fraction": ("screen: {pruner: none, audit_fraction: 0.5}\n", "6:40", "pruner: race", "pruner: none"),
    "confirm.equivalence": ("confirm: {seeds: 5, equivalence: true}\n", "6:34", "seeds: auto", "seeds: 5"),
    "space.tau": (f"{COVARIANCE}  tau: [0.5]\n", "7:8", "variant: [covariance, l2]", "variant: [covariance]"),
    "space.distance": (f"{COSINE}  distance: [sum]\n", "7:13", "variant: [cosine, hinge]", "variant: [cosine]"),
    "space.negatives": (f"{COVARIANCE}  negatives: [64]\n", "7:14", "variant: [l2]", "variant: [covariance]"),
}
FORMS: Mapping[str, tuple[str, str]] = {
    "tau": ("tau: 0.5", "covariance"),
    "distance": ("distance: sum", "cosine"),
    "negatives": ("negatives: 64", "covariance"),
}
# What of the screen acts whatever stands beside it, or is refused by the screen itself.
ALWAYS = {"seeds", "baseline_seeds", "rungs", "sampler", "trials"}


def refusal(path: Path, text: str) -> str:
    path.write_text(text)
    with pytest.raises(StudyError) as caught:
        read_study(path)
    assert caught.value.remedy
    return str(caught.value)


def test_every_row_of_the_tables_has_its_case_and_every_field_of_a_screen_is_known() -> None:
    assert {*CASES} == {row.field for row in STUDY}
    assert {*FORMS} == {row.field for row in FORM}
    assert {*leaves(Screen)} == ALWAYS | {row.field.removeprefix("screen.") for row in STUDY if "screen" in row.field}


def test_every_knob_that_some_variant_lacks_is_in_the_tables() -> None:
    lacking = {knob.field for knob in KNOBS if not all(map(knob.applies, VARIANTS))}
    # A variant that has no units of tau refuses them by itself, in the words of those that have.
    assert lacking - {"tau_units"} == {row.field for row in FORM}


@pytest.mark.parametrize("field", CASES)
def test_a_key_that_changes_nothing_is_refused_at_its_line(tmp_path: Path, field: str) -> None:
    lines, at, _, _ = CASES[field]
    path = tmp_path / "s.yaml"
    says = refusal(path, STUDY_TEXT + lines)
    first, _, _ = says.partition("\n")
    assert first.startswith(f"{path}:{at}: {field} must stand beside ")


@pytest.mark.parametrize("field", CASES)
def test_the_same_key_is_accepted_where_it_acts(tmp_path: Path, field: str) -> None:
    lines, _, acting, replaced = CASES[field]
    path = tmp_path / "s.yaml"
    text = STUDY_TEXT + lines
    path.write_text(text.replace(replaced, acting) if replaced else text + acting)
    assert read_study(path)


@pytest.mark.parametrize("field", FORMS)
@pytest.mark.parametrize("where", ["cells: [{label: c, ", "controls: [{name: c, set: {train.lr: 0.001}, "])
def test_a_key_of_one_setting_that_its_variant_lacks_is_refused_at_its_line(
    tmp_path: Path, field: str, where: str
) -> None:
    written, variant = FORMS[field]
    before = f"{where}block: 1, lambda: 0.1, variant: {variant}, "
    says = refusal(tmp_path / "s.yaml", f"{STUDY_TEXT}{before}{written}}}]\n")
    column = len(before) + len(field) + 3
    assert f"s.yaml:6:{column}: " in says
    assert f"{field} must stand beside variant " in says


@pytest.mark.parametrize(
    ("lines", "at", "says"),
    [
        ("  lambda_end: [0.5, 0]\n", "6:21", "space.lambda_end.1 must be above 0"),
        ("  lambda_warmup: [0, 0.6]\n  lambda_end: [0.5]\n", "6:22", "space.lambda_warmup.1 must be below lambda_end"),
        (
            "cells: [{label: c, block: 1, lambda: 1, lambda_end: 0}]\n",
            "6:53",
            "cells.0.lambda_end must be above 0: lambda is 0 from there on",
        ),
        (
            "recipe:\n  train: {label_drop: 0}\n  eval: {cfg: 2}\n",
            "7:23",
            "recipe.train.label_drop must be above 0 beside eval.cfg 2",
        ),
        ("recipe:\n  eval: {solver: ddim}\n", "7:18", "recipe.eval.solver must be 'euler' or 'heun'"),
        ("recipe:\n  eval: {nfe: 3, solver: heun}\n", "7:15", "recipe.eval.nfe must be a multiple of 2, not 3"),
        (
            "recipe:\n  eval: {extractor: clip, weights: w, metrics: [spatial_fid]}\n",
            "7:48",
            "recipe.eval.metrics has spatial_fid, which needs extractor domain",
        ),
        (
            "controls: [{name: a, set: {train.repa: 1}}]\n",
            "6:40",
            "controls.0.set.train.repa must be set field by field, as train.repa.block: block, lambda, hidden",
        ),
    ],
)
def test_a_contradiction_is_told_at_the_line_of_the_key_that_makes_it(
    tmp_path: Path, lines: str, at: str, says: str
) -> None:
    assert f"s.yaml:{at}: {says}" in refusal(tmp_path / "s.yaml", STUDY_TEXT + lines)


@pytest.mark.parametrize(
    "lines",
    [
        "recipe:\n  eval: {cfg_interval: [0, 0.5], full_samples: 20000}\n",
        f"{COVARIANCE}  tau: [0.5]\n",
        "cells: [{label: c, block: 1, lambda: 0.1, variant: covariance, tau: 0.5}]\n",
        "controls: [{name: c, set: {train.lr: 0.001}, block: 1, lambda: 0.1, variant: covariance, tau: 0.5}]\n",
    ],
)
def test_a_study_that_was_recorded_with_such_a_key_is_read_and_reported_as_before(tmp_path: Path, lines: str) -> None:
    tree = YAML(typ="safe").load(STUDY_TEXT + lines)
    with pytest.raises(ValidationError, match="must stand beside"):
        Study.model_validate(tree)
    study = Study.model_validate(tree, context=KEPT)
    again = Study.model_validate_json(study.model_dump_json(by_alias=True), context=KEPT)
    assert again == study
    record = make_record(study, [trial(BASELINE, 0, 12.0)])
    path = tmp_path / "record.json"
    path.write_text(record.model_dump_json(by_alias=True))
    assert assemble_guide(read_record(path)).name == "s"
    assert Registration.parse(Registration.of(study, tmp_path).model_dump_json(by_alias=True), tmp_path).study == study
    assert all(arm.recipe(study.recipe) for arm in cells(study))
