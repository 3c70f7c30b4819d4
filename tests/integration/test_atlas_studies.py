"""The studies of `studies/atlas/`: scopes that differ, alike in what they sweep, each tuned by a study of its own."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from sweeper.planning.size import size
from sweeper.study import Study
from sweeper.study.yaml_files import read_study
from tests.places import STUDIES

FOLDER = STUDIES / "atlas"
TUNE = FOLDER / "tune.yaml"
SCOPES = sorted(path for path in FOLDER.glob("*.yaml") if path != TUNE)

scope = pytest.mark.parametrize("path", SCOPES, ids=lambda path: path.stem)


def tuning(path: Path) -> Study:
    """Read the tuning study with the changes that a study's comment names."""
    lines = [line.lstrip("# ").rstrip("\\ ") for line in path.read_text(encoding="utf-8").splitlines()]
    start = next(place for place, line in enumerate(lines) if line.startswith("sweeper run studies/atlas/tune.yaml"))
    words = shlex.split(" ".join(lines[start : lines.index("", start)]))
    return read_study(TUNE, [words[place + 1] for place, word in enumerate(words) if word == "--set"])


def test_the_scopes_differ_in_data_objective_size_schedule_and_amount_of_data() -> None:
    recipes = [read_study(path).recipe for path in SCOPES]
    assert len({recipe.hash for recipe in recipes}) == len(SCOPES) >= 10
    assert {recipe.data.name for recipe in recipes} == {"digits", "mnist5k", "shapes"}
    assert {recipe.objective.kind for recipe in recipes} == {"interpolant", "diffusion", "mean_flow"}
    assert {recipe.train.schedule for recipe in recipes} == {"cosine", "constant"}
    assert len({len(recipe.model.taps) for recipe in recipes}) == 2
    assert {recipe.data.limit for recipe in recipes} == {None, 100}


@scope
def test_a_scope_sweeps_three_blocks_four_lambdas_and_two_relative_taus_and_looks_to_the_end(path: Path) -> None:
    study = read_study(path)
    space = study.space
    assert (len(space.block), len(space.lam), len(space.tau)) == (3, 4, 2)  # type: ignore[arg-type]
    assert space.tau_units == "relative"
    assert size(study).cells == 25
    assert study.confirm is not None
    assert study.confirm.seeds == "auto"
    assert len(study.screen.seeds) >= 2  # one seed has no error, and would count for nothing in an atlas
    assert study.name == f"atlas_{path.stem}"


@scope
def test_the_tuning_study_of_a_scope_trains_what_the_scope_trains_at_other_rates(path: Path) -> None:
    study, tuned = read_study(path), tuning(path)
    assert tuned.name == f"tune_{path.stem}"
    assert tuned.recipe.override({"train.lr": study.recipe.train.lr}) == study.recipe
    assert not {*tuned.screen.seeds} & {*study.screen.seeds}
