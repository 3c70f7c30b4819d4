"""`run --across` from arguments to the page beside the guides, with workers that train nothing."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from sweeper.coordinator.coordinator import Coordinator
from sweeper.errors import SetupError
from tests.sweeper.cli.test_app import Run, run
from tests.sweeper.commands.simulated_runs import Placement, placement, prepared, simulated, written
from tests.sweeper.coordinator.coordinators import study

__all__ = ["placement", "run"]  # fixtures, used by being here


@pytest.fixture
def file(tmp_path: Path, tables: Path) -> Path:
    prepared(tmp_path / ".sweeper", tables)
    space = {"block": [0, 1], "lambda": [0.1, 0.5]}
    screen = {"seeds": [0, 1, 2, 3], "pruner": "none"}  # enough to test anything
    return written(study(resources={"cohort": 1}, space=space, screen=screen), tmp_path / "tiny.yaml")


def test_a_study_runs_once_for_each_value_and_a_page_compares_them(
    run: Run, placement: Placement, file: Path, tmp_path: Path
) -> None:
    luck = np.random.default_rng(0)
    placement.workers = simulated(lambda _spec, _step: float(luck.normal(10, 0.1)))
    ran = run("run", file, "--across", "train.lr=0.01,0.02", "--yes")
    assert (ran.code, placement.runs) == (0, 2)
    assert ran.out.splitlines() == [
        "reports/tiny-lr-0.01/guide.md",
        "reports/tiny-lr-0.02/guide.md",
        "reports/tiny_across/crossing.md",
    ]
    page = (tmp_path / "reports" / "tiny_across" / "crossing.md").read_text()
    assert "No sign in the screens that the effect of block or lambda depends on train.lr." in page
    assert "No sign in the screens" in ran.err
    for place in ("reports/tiny_across/crossing.html", "reports/tiny_across/crossing.json"):
        assert (tmp_path / place).stat().st_size > 1000

    again = run("run", file, "--across", "train.lr=0.01,0.02", "--yes")
    assert (again.code, placement.runs, again.out) == (0, 2, ran.out)
    byhand = run("across", "reports/tiny-lr-0.02", "reports/tiny-lr-0.01", "--out", "elsewhere", "--json")
    crossing = json.loads((tmp_path / "elsewhere" / "crossing.json").read_text())
    assert json.loads(byhand.out) == {"page": "elsewhere/crossing.md", "crossing": crossing}
    assert (tmp_path / "elsewhere" / "crossing.md").read_text() == page


def test_a_study_that_is_stopped_stops_all_and_the_same_command_goes_on(
    run: Run, placement: Placement, file: Path
) -> None:
    def second_stops(coordinator: Coordinator) -> None:
        if placement.runs == 2:
            given = coordinator.next(0, coordinator.enter(0))
            assert given
            coordinator.halt(given.cohort, SetupError("the disk is full"), given.attempt)
        else:
            simulated()(coordinator)

    placement.workers = second_stops
    command = ("run", file, "--across", "train.lr=0.01,0.02", "--yes")
    ran = run(*command)
    assert (ran.code, ran.out) == (3, "reports/tiny-lr-0.01/guide.md\n")
    assert "the disk is full" in ran.err
    ran = run(*command)
    assert (ran.code, placement.runs) == (0, 3)
    assert ran.out.endswith("reports/tiny_across/crossing.md\n")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("run", "tiny.yaml", "--across", "train.lr=1", "--yes"), 2, "two values or more"),
        (("run", "tiny.yaml", "--across", "train.lrr=1,2", "--yes"), 2, "train.lrr"),
        (("across", "nowhere"), 2, "nowhere is not there"),
        (("across", "."), 4, "a guide alone has no single trials"),
    ],
)
def test_mistakes_are_a_line_and_run_nothing(
    run: Run, placement: Placement, file: Path, arguments: tuple[str, ...], code: int, says: str
) -> None:
    del file
    ran = run(*arguments)
    assert (ran.code, placement.runs) == (code, 0)
    assert re.search(says, ran.err)
    assert "Traceback" not in ran.err
