"""Small studies and hand-built trials for the tests of race and search."""

from __future__ import annotations

from collections.abc import Sequence

from sweeper.planning.cells import setting_cell
from sweeper.records import Cell, TrialSpec
from sweeper.study import Study
from trainer.recipe import Dispersion, numbered

BASELINE = Cell(role="baseline", label="baseline", dispersion=Dispersion())
CONTROL = Cell(role="control", label="decay", dispersion=Dispersion(), overrides=(("train.weight_decay", 0.5),))


def study(**changes: object) -> Study:
    """A study of 2 blocks x 2 lambdas x 1 tau with one control; `changes` replace parts, as a YAML file would."""
    given = {
        "name": "tiny",
        "question": "which block?",
        "recipe": {"train": {"steps": 100}},
        "space": {"block": [0, 1], "lambda": [0.01, 0.1], "tau": [0.5]},
        "controls": [{"name": "decay", "set": {"train.weight_decay": 0.5}}],
        "screen": {"seeds": 3},
        **changes,
    }
    return Study.model_validate(given)


def cell(block: int, lam: float, tau: float = 0.5) -> Cell:
    return setting_cell(Dispersion(blocks=(block,), lam=lam, tau=tau), numbered(4))


GRID = (cell(0, 0.01), cell(0, 0.1), cell(1, 0.01), cell(1, 0.1))


def trials(cells: Sequence[Cell] = (BASELINE, *GRID, CONTROL), seeds: Sequence[int] = (0, 1, 2)) -> list[TrialSpec]:
    """Seed block by seed block."""
    return [TrialSpec(stage="screen", cell=one, seed=seed) for seed in seeds for one in cells]
