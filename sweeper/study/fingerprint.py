"""Which fields must stay the same between runs of a study, which may be extended, and how to report a change."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Hashable, Iterator

from sweeper.study.baseline_seeds import further_seeds
from sweeper.study.knobs import KNOBS
from sweeper.study.objective import USUAL
from sweeper.study.study import Study
from trainer.recipe.identity import identity


def fingerprint(study: Study) -> str:
    """Return sixteen hex digits of the fields that no run of a study may change, without those that may be extended.

    A field added to the product later counts only where it leaves its default.
    """
    screen = identity(study.screen)
    for name in ("seeds", "trials", "baseline_seeds"):
        screen.pop(name, None)
    fixed = {"recipe": identity(study.recipe), "screen": screen, "tau_units": study.space.tau_units}
    if study.objective != USUAL:
        fixed["objective"] = study.objective
    if study.second_objectives:
        fixed["second_objectives"] = study.second_objectives
    return hashlib.sha256(json.dumps(fixed, sort_keys=True).encode()).hexdigest()[:16]


def fields(study: Study, confirming: bool = False) -> dict[str, str]:
    """Return every field that affects a figure, by dotted name, as JSON text.

    The question, the tuning note, the resources and what is kept may change at any time, `confirm` until that stage
    has begun (`confirming`). Seeds may not: they decide which trials there are.
    """
    fixed = {"objective", "second_objectives", "recipe", "space", "cells", "controls", "screen"}
    fixed |= {"confirm"} if confirming else set()
    return dict(_leaves("", study.model_dump(mode="json", by_alias=True, include=fixed)))


def changed_fields(old: Study, new: Study, confirming: bool = False) -> list[str]:
    """Return forbidden changes, e.g. ['recipe.train.lr: 0.008 -> 0.004']; empty if there are none.

    Until the confirm stage has begun, `new` may have more seeds, cells and controls than `old`: see `added`.
    """
    before, after = fields(old, confirming), fields(new, confirming)
    free = () if confirming else tuple(_extended(old, new))
    return [
        f"{name}: {before.get(name, 'not there')} -> {after.get(name, 'not there')}"
        for name in dict.fromkeys([*before, *after])
        if before.get(name) != after.get(name) and not any(name == part or name.startswith(f"{part}.") for part in free)
    ]


def added(old: Study, new: Study) -> list[str]:
    """Return what a continued study has added, e.g. ['screen.seeds: 3 more']; empty if nothing."""
    before, after = _extensible(old), _extensible(new)
    more = [(name, len(after[name] - before[name])) for name in _extended(old, new)]
    return [f"{name}: {count} more" for name, count in more if count]


def _extended(old: Study, new: Study) -> Iterator[str]:
    """Yield the names of what `new` holds as `old` does, or adds to."""
    before, after = _extensible(old), _extensible(new)
    yield from (name for name in before.keys() & after.keys() if before[name] <= after[name])


def _extensible(study: Study) -> dict[str, frozenset[Hashable]]:
    """The fields that may be extended, as sets. Where a search draws from the space, only its budget may grow."""
    parts: dict[str, frozenset[Hashable]] = {
        "screen.seeds": frozenset(study.screen.seeds),
        "screen.baseline_seeds": frozenset(further_seeds(study)),
        "cells": frozenset(study.cells),
        "controls": frozenset((arm.name, tuple(sorted(arm.set.items())), arm.setting) for arm in study.controls),
    }
    if study.screen.trials is not None:
        return parts | {"screen.trials": frozenset(range(study.screen.trials))}
    return parts | {f"space.{knob.name}": frozenset(knob.points(study)) for knob in KNOBS}


def _leaves(name: str, value: object) -> Iterator[tuple[str, str]]:
    """Yield the leaves of a tree of mappings and lists of mappings; a list of plain values is one leaf."""
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        value = dict(enumerate(value))
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _leaves(f"{name}.{key}" if name else str(key), item)
    else:
        yield name, json.dumps(value)
