"""`plan --on` says what a study costs on cards that are not here, and that nobody measured it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from sweeper import cli
from sweeper.commands.plan_on import describe_on, estimate_on
from sweeper.planning.size import announce
from sweeper.study.yaml_files import read_study
from tests.places import ROOT, STUDIES

IMAGENET = STUDIES / "imagenet256_sit_b2.yaml"


def test_an_estimate_says_that_it_is_one_and_of_what() -> None:
    text = describe_on(read_study(IMAGENET), "8xH100")
    assert "estimated, not measured, for 8 H100: training in bf16 at 35 % of its published 989 TFLOP/s" in text
    assert "130.3 M parameters" in text
    assert "screen: 20 trials, " in text
    assert "confirm: 33 trials, " in text
    assert "50,000 samples of every finalist" in text
    assert "of a card's 80 GB: one fits on it; from depth 21 of this width on none does" in text
    assert "launching" not in text


def test_the_documentation_prints_what_the_command_prints() -> None:
    page = (ROOT / "docs" / "studies.md").read_text(encoding="utf-8")
    study = read_study(IMAGENET)
    assert f"{announce(study)}\n{describe_on(study, '8xH100')}" in page


def test_a_step_that_launches_take_longer_for_is_said_to_be_underestimated() -> None:
    text = describe_on(read_study(STUDIES / "repa.yaml"), "1xA100")
    assert "far too low for a step as short as this" in text
    assert "REPA's encoder and projector" in text


def test_a_part_of_a_card_has_its_part_of_the_memory() -> None:
    study = read_study(IMAGENET, ["resources.gpus=0.75", "recipe.model.preset=S"])
    assert "of 0.75 of a card, 60 GB: 2 fit on it" in describe_on(study, "1xH100")


def test_a_study_without_a_confirm_stage_has_a_screen_alone() -> None:
    text = describe_on(read_study(IMAGENET, ["confirm=null"]), "4xH200")
    assert "confirm: none" in text
    assert "finalist" not in text
    assert "(100 %)" in text


def test_numbers_are_those_of_the_text() -> None:
    study = read_study(IMAGENET)
    numbers = estimate_on(study, "8xH100")
    assert json.loads(json.dumps(numbers)) == numbers
    assert numbers["measured"] is False
    screen, confirm = numbers["screen"], numbers["confirm"]
    assert isinstance(screen, dict)
    assert isinstance(confirm, dict)
    assert f"together: {round(screen['gpu_hours'] + confirm['gpu_hours'])} GPU-hours" in describe_on(study, "8xH100")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--on", "8xH100"], 0, "estimated, not measured, for 8 H100"),
        (["--on", "8xH100", "--json"], 0, '"measured": false'),
        (["--on", "8xABACUS"], 2, "known are A100"),
        (["--on", "8xH100", "--set", "recipe.model.preset=XL"], 2, "out of scope"),
        (["--set", "resources={gpus: 0, cpus: 1}"], 4, "`sweeper plan --on 8xH100` needs no data"),
        ([], 3, "`sweeper plan --on 8xH100` estimates without a GPU"),
    ],
    ids=str,
)
def test_the_command_estimates_or_names_the_way_to_an_estimate(
    arguments: list[str],
    code: int,
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["sweeper", "plan", str(IMAGENET), *arguments])
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    printed = capsys.readouterr()
    assert (ended.value.code or 0) == code
    assert says in printed.out + printed.err
    assert "Traceback" not in printed.err


def test_the_largest_lane_is_found_by_its_own_recipe() -> None:
    half, whole = (read_study(IMAGENET, [f"recipe.train.batch={batch}"]) for batch in (128, 256))
    machine = "8xH100"
    assert estimate_on(half, machine)["largest_depth"] > estimate_on(whole, machine)["largest_depth"]  # type: ignore[operator]
