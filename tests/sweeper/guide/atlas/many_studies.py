"""Recorded studies of several scopes, with effects of one's choice."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sweeper.records import Cell, StudyRecord
from tests.sweeper.guide.study_records import grid_cells, make_record, make_study, simulate

Effect = Callable[[Cell], float]
LAMBDAS = (0.001, 0.01, 0.03)


def nothing(_cell: Cell) -> float:
    return 0.0


def lambda_hurts(cell: Cell) -> float:
    return 10 * cell.dispersion.lam if cell.role == "grid" else 0.0


def last_block_is_best(cell: Cell) -> float:
    return -0.25 if cell.role == "grid" and cell.dispersion.blocks == (3,) else 0.0


def record(
    name: str, effect: Effect = nothing, random: int = 0, tau_units: str = "absolute", **changes: object
) -> StudyRecord:
    """A finished study of 3 blocks and 3 lambdas, its best three confirmed; `changes` of its recipe."""
    study = make_study(
        name=name,
        recipe=changes,
        space={"block": [0, 1, 3], "lambda": LAMBDAS, "tau": [0.5], "tau_units": tau_units},
        confirm={"top": 1, "seeds": [100, 101, 102, 103]},
    )
    cells = [
        cell.model_copy(update={"dispersion": cell.dispersion.model_copy(update={"tau_units": tau_units})})
        for cell in grid_cells(study)
    ]
    steps = study.recipe.train.steps
    screen = simulate(study, cells, effect, noise=0.02, random=random)
    best = min(cells, key=effect)
    confirm = simulate(study, [best], effect, "confirm", range(100, 104), noise=0.02, random=random + 10_000)
    assert steps
    return make_record(study, [*screen, *confirm])


def scopes(effect: Effect | Iterable[Effect], count: int = 6, tau_units: str = "absolute") -> list[StudyRecord]:
    """So many studies of different lengths, in turn on two data sets."""
    effects = [effect] * count if callable(effect) else list(effect)
    return [
        record(
            f"study_{number}",
            own,
            random=number,
            tau_units=tau_units,
            train={"steps": 800 + 10 * number + (tau_units == "relative")},
            data={"name": ("digits", "mnist5k")[number % 2]},
        )
        for number, own in enumerate(effects)
    ]
