"""A study's second objectives: what may be one, and that a study without them is what it was."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from sweeper.errors import StudyError
from sweeper.study import Study
from sweeper.study.fingerprint import changed_fields, fingerprint
from sweeper.study.second_objectives import cost_steps, levels, measured
from sweeper.study.yaml_files import read_study, to_yaml
from tests.sweeper.guide.study_records import make_study
from trainer.recipe import recorded_metric
from trainer.recipe.identity import identity

TRADED = make_study(second_objectives=["recall", "coverage", "cost"])
FILE = """\
name: s
question: q?
objective: fid
second_objectives: [recall]
space:
  block: [0, 1]
  lambda: [0.1]
  tau: [0.5, 1]
"""


@pytest.mark.parametrize(
    ("written", "at", "says"),
    [
        ("[recal]", "4:21", "second_objectives.0 must be 'fid', .*; got \"recal\"; did you mean 'recall'?"),
        ("[recall, fid]", "4:29", 'second_objectives.1 must be another metric than the study\'s objective; got "fid"'),
        ("[cost, cost]", "4:27", 'second_objectives.1 must be named once; got "cost"'),
        (
            "[sfid]",
            "4:21",
            'second_objectives.0 must be measured: sfid needs recipe.eval.extractor inception; got "sfid"',
        ),
        (
            "[spatial_fid]",
            "4:21",
            'second_objectives.0 must be measured: add spatial_fid to recipe.eval.metrics; got "spatial_fid"',
        ),
        ("[kid]", "4:21", "second_objectives.0 must be one of .*: KID's values may be 0 or less, which have no ratio"),
        ("recall", "4:20", 'second_objectives must be a list, in [brackets]; got "recall"'),
    ],
)
def test_a_mistake_is_one_line_at_its_place_with_a_remedy(tmp_path: Path, written: str, at: str, says: str) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(FILE.replace("[recall]", written))
    with pytest.raises(StudyError) as caught:
        read_study(path)
    assert caught.value.message.startswith(f"{path}:{at}: ")
    head, _, tail = says.partition(".*")
    assert head in caught.value.message
    assert tail in caught.value.message
    _, excerpt, caret = caught.value.message.splitlines()  # one mistake: what is wrong, and where
    assert excerpt.strip() == f"second_objectives: {written}"
    assert caret.strip() == "^"
    assert caught.value.remedy


def test_a_study_without_them_has_the_hash_that_it_had() -> None:
    assert fingerprint(make_study(second_objectives=[])) == fingerprint(make_study()) == "58a591b0f65ea273"
    assert "second_objectives" not in identity(make_study())
    old = make_study().model_dump(by_alias=True, mode="json")
    del old["second_objectives"]
    assert changed_fields(Study.model_validate(old), make_study()) == []


def test_a_study_with_them_is_another_study_and_trains_the_same() -> None:
    assert fingerprint(TRADED) != fingerprint(make_study())
    assert TRADED.recipe.hash == make_study().recipe.hash
    (changed,) = changed_fields(make_study(), TRADED)
    assert changed == 'second_objectives: [] -> ["recall", "coverage", "cost"]'


def test_a_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(to_yaml(TRADED))
    assert read_study(path).second_objectives == ("recall", "coverage", "cost")


def test_claims_are_made_about_them_and_about_no_metric_of_fewer_samples() -> None:
    def place(study: Study, name: str) -> str:
        found = recorded_metric(name)
        assert found
        return study.minimised.place(found)

    assert place(make_study(), "coverage_10k") == "shown"
    assert place(TRADED, "coverage_10k") == "claimed"
    assert place(TRADED, "coverage_2500") == "left out"
    assert place(TRADED, "density_10k") == "shown"


def test_a_rung_gives_them_by_recorded_name_and_leaves_out_what_it_lacks() -> None:
    metrics = {"fid_10k": 9.0, "recall_10k": 0.5, "coverage_10k": math.nan, "train_s": 20.0}
    assert TRADED.judged(metrics, last=True) == (9.0, {"recall_10k": 0.5, "train_s": 20.0})
    assert TRADED.judged(metrics, last=False)[1] == {}
    assert TRADED.judged(metrics | {"train_flops": 3e12}, last=True)[1] == {"recall_10k": 0.5, "train_flops": 3e12}
    assert measured((), metrics) == {}


def test_levels_are_better_lower_and_nan_where_nothing_was_measured() -> None:
    base = {"train_s": [30.0, 20.0]}
    low, high = (
        levels(TRADED.traded, {"recall_10k": [recall, 0.4], "train_s": [25.0, 22.0]}, base) for recall in (0.2, 0.4)
    )
    assert high[0] < low[0]
    assert math.isnan(low[1])
    assert low[2] == cost_steps(22 / 20) == 2
    assert math.isnan(levels(TRADED.traded, {"train_s": [25.0]}, {})[2])
    assert levels(TRADED.traded, {"train_flops": [2e12], "train_s": [20.0]}, {"train_flops": [4e12]})[2] == -14
    assert math.isnan(levels(TRADED.traded, {"train_flops": [2e12]}, base)[2])  # nothing in common


@pytest.mark.parametrize(("ratio", "steps"), [(1.0, 0), (1.02, 0), (0.98, 0), (1.05, 1), (1 / 1.05, -1)])
def test_times_that_differ_by_less_than_a_step_are_equal(ratio: float, steps: int) -> None:
    assert cost_steps(ratio) == steps
