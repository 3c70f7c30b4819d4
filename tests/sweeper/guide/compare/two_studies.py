"""Recorded studies to compare: of one setting, with an effect of one's choice."""

from __future__ import annotations

from collections.abc import Callable

from sweeper.guide.assemble import assemble_guide
from sweeper.guide.compare.head_to_head import Rival
from sweeper.records import Cell, StudyRecord
from tests.sweeper.guide.study_records import make_record, make_study, setting, simulate

Effect = Callable[[Cell], float]
SMALL, LARGE = 4, 12


def nothing(_cell: Cell) -> float:
    return 0.0


def helps(cell: Cell) -> float:
    return -0.4 if cell.role == "grid" else 0.0


def hurts(cell: Cell) -> float:
    return 0.4 if cell.role == "grid" else 0.0


def record(
    effect: Effect,
    depth: int = SMALL,
    cells: tuple[Cell, ...] | None = None,
    random: int = 0,
    noise: float = 0.02,
    fresh: range = range(100, 105),
    name: str = "one",
    **recipe: object,
) -> StudyRecord:
    """A finished study of one setting (block 1/4, lambda .01, tau .5), or of `cells`."""
    width = {"width": 48, "heads": 4}
    study = make_study(
        name=name,
        recipe={"model": {"depth": depth, **width}, **recipe},
        space={"block": [0.25], "lambda": [0.01], "tau": [0.5]},
        confirm={"top": 3, "seeds": list(fresh)},
    )
    own = cells or (setting((depth // 4,), 0.01, 0.5),)
    screen = simulate(study, own, effect, noise=noise, random=random)
    confirm = simulate(study, own, effect, "confirm", fresh, noise=noise, random=random + 10_000)
    return make_record(study, [*screen, *confirm])


def rival(of: StudyRecord) -> Rival:
    return Rival(of, assemble_guide(of))
