from __future__ import annotations

import pytest

from sweeper.errors import StudyError
from sweeper.study.across import MOST, Across, studies_across
from tests.places import STUDIES

SMOKE = STUDIES / "smoke.yaml"


@pytest.mark.parametrize(
    ("option", "field", "values"),
    [
        ("train.lr=0.004,8e-3", "train.lr", ("0.004", "0.008")),
        ("recipe.train.steps=[40, 80]", "train.steps", ("40", "80")),
        ("model.preset=S,B,S", "model.preset", ('"S"', '"B"')),
        ("objective=[{kind: velocity}, {kind: ddpm}]", "objective", ('{"kind": "velocity"}', '{"kind": "ddpm"}')),
    ],
)
def test_an_option_is_a_field_and_its_values(option: str, field: str, values: tuple[str, ...]) -> None:
    assert Across.parse(option) == (field, values)


@pytest.mark.parametrize("option", ["", "train.lr", "train.lr=", "train.lr=1", "=1,2", "train.lr=[1,2", "train.lr=1,1"])
def test_an_option_that_is_none_is_refused_with_an_example(option: str) -> None:
    with pytest.raises(StudyError, match="must be a field of the recipe and two values or more") as refused:
        Across.parse(option)
    assert "train.lr=0.004" in str(refused.value.remedy)


def test_every_combination_is_a_study_of_its_own_name() -> None:
    name, studies = studies_across(SMOKE, ["recipe.train.batch=16"], ["train.lr=0.004,0.008", "train.steps=40,80"])
    assert name == "smoke"
    assert [study.name for study in studies] == [
        "smoke-lr-0.004-steps-40",
        "smoke-lr-0.004-steps-80",
        "smoke-lr-0.008-steps-40",
        "smoke-lr-0.008-steps-80",
    ]
    assert [(study.recipe.train.lr, study.recipe.train.steps) for study in studies][1] == (0.004, 80)
    assert {study.recipe.train.batch for study in studies} == {16}


def test_a_value_may_be_a_whole_part_and_its_name_stays_a_name() -> None:
    _, studies = studies_across(SMOKE, [], ["objective=[{kind: interpolant}, {kind: diffusion}]"])
    names = ["smoke-objective-kind_interpolant", "smoke-objective-kind_diffusion"]
    assert [study.name for study in studies] == names


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["train.lrr=0.1,0.2"], "train.lrr"),
        (["train.steps=40,-1"], "train.steps"),
        (["train.lr=0.1,0.2", "recipe.train.lr=0.3,0.4"], "named twice"),
        (["eval.cfg=1,-1"], "eval.cfg"),
        (["data.path=a/b,a_b", "data.name=npz,npy"], "recipe.data|same name"),
        (["tuning=2020-01-01,x"], "two values or more"),
        ([f"train.steps={','.join(map(str, range(40, 40 + MOST + 1)))}"], f"makes {MOST + 1} studies"),
    ],
)
def test_mistakes_are_refused_before_anything_runs(options: list[str], says: str) -> None:
    with pytest.raises(StudyError, match=says):
        studies_across(SMOKE, [], options)
