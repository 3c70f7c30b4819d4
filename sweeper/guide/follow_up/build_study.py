"""Build a follow-up study: its name, screening seeds of its own, and a space that holds the chosen settings."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from sweeper.records import StudyRecord
from sweeper.study import Confirm, Study, fresh_seeds
from sweeper.study.baseline_seeds import reserved_seeds
from sweeper.study.knobs import KNOBS, VARIANT, written_values
from trainer.recipe import Dispersion
from trainer.recipe.idle_fields import KEPT

LONGEST_NAME = 64
LONGEST_LABEL = 80
LONGEST_QUESTION = 200
MOST_TOP = 100
SEEDS_END = 2**31

Tree = dict[str, Any]  # a part of a study as YAML has it


class Labelled(NamedTuple):
    """A setting to be measured again, and how the guide marks it where no grid holds it."""

    setting: Dispersion
    label: str


def named_next(name: str) -> str:
    """Return 'x_next' for 'x', 'x_next2' for 'x_next'; no longer than a name may be."""
    before = re.fullmatch(r"(.*)_next(\d{0,6})", name)
    stem, count = (before[1], int(before[2] or 1) + 1) if before else (name, 1)
    suffix = "_next" if count == 1 else f"_next{count}"
    return stem[: LONGEST_NAME - len(suffix)] + suffix


def unused_seeds(record: StudyRecord, count: int) -> tuple[int, ...]:
    """Return screening seeds that this study neither used nor plans; above its own, so its predecessors did not either.

    Fresh seeds need none of this: every study derives its own.
    """
    study = record.study
    used = {
        *study.screen.seeds,
        *reserved_seeds(study),
        *fresh_seeds(study),
        *(trial.spec.seed for trial in record.trials),
    }
    first = (max(study.screen.seeds) // 100 + 1) * 100
    free = (seed for seed in itertools.chain(range(first, SEEDS_END), range(first)) if seed not in used)
    return tuple(itertools.islice(free, count))


def confirming(study: Study, top: int) -> Study:
    """Return the same study with a confirm stage, which a run continues."""
    return study.model_copy(update={"confirm": Confirm(top=top, seeds="auto")})


def study_of(record: StudyRecord, question: str, settings: Sequence[Labelled], space: Tree | None, fresh: int) -> Study:
    """Return a study of these settings, or of `space` with them beside it, on `fresh` confirm seeds of its own."""
    before = record.study
    screen_count = len(before.screen.seeds)
    confirm = (before.confirm or Confirm()).model_dump()
    tree: Tree = before.model_dump(by_alias=True)
    if space is None:
        space, cells = _smallest_space(settings, before.recipe.model.taps)
        further = (
            "auto" if before.screen.baseline_seeds else None
        )  # a number was meant for as many settings as there were
        screen = {"rungs": before.screen.rungs, "pruner": "none", "baseline_seeds": further}
        confirm["top"] = min(len(settings), MOST_TOP)
    else:
        cells = [_cell(labelled, before.recipe.model.taps) for labelled in settings]
        screen = _search(before, len(cells))
    tree |= {
        "name": named_next(before.name),
        "question": question[:LONGEST_QUESTION],
        "space": space,
        "cells": cells,
        "screen": {**screen, "seeds": unused_seeds(record, screen_count)},
        "confirm": {**confirm, "seeds": fresh, "equivalence": False},  # which needs looks
    }
    return Study.model_validate(tree, context=KEPT)


def _search(before: Study, cells: int) -> Tree:
    screen = before.screen.model_dump()
    if screen["trials"] is not None:
        least = (2 + cells + len(before.controls)) * len(before.screen.seeds) + len(reserved_seeds(before))
        screen["trials"] = max(screen["trials"], least)
    return screen


def _smallest_space(settings: Sequence[Labelled], taps: Sequence[str]) -> tuple[Tree, list[Tree]]:
    """Write settings as a space that holds no others, and the settings that do not fit as cells beside it."""
    every = [labelled.setting for labelled in settings]
    inside = every if _is_product(every) else every[:1]
    written = [written_values(setting, taps) for setting in inside]
    space: Tree = {knob.name: tuple(dict.fromkeys(one[knob.name] for one in written)) for knob in KNOBS}
    return space, [_cell(labelled, taps) for labelled in settings if labelled.setting not in inside]


def _is_product(settings: Sequence[Dispersion]) -> bool:
    sides = {knob.name: {getattr(setting, knob.field) for setting in settings} for knob in KNOBS}
    return len(sides[VARIANT.name]) == 1 and math.prod(len(side) for side in sides.values()) == len(settings)


def _cell(labelled: Labelled, taps: Sequence[str]) -> Tree:
    return {"label": labelled.label[:LONGEST_LABEL], **written_values(labelled.setting, taps)}
