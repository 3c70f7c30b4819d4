"""What must stay the same between the runs of one study, and how to say what did not."""

from __future__ import annotations

import json
from collections.abc import Iterator

from sweeper.study.model import Study


def fingerprint(study: Study, confirming: bool = False) -> dict[str, str]:
    """Return every field that decides a figure, by dotted name, as JSON text.

    The question, the tuning note and the resources may change at any time, `confirm` until that stage has begun
    (`confirming`). Seeds may not: they decide which trials there are.
    """
    fixed = {"recipe", "space", "cells", "controls", "screen"} | ({"confirm"} if confirming else set())
    return dict(_leaves("", study.model_dump(mode="json", by_alias=True, include=fixed)))


def changed_fields(old: Study, new: Study, confirming: bool = False) -> list[str]:
    """Return what differs between two fingerprints, e.g. ['recipe.train.lr: 0.008 -> 0.004']; empty if nothing."""
    before, after = fingerprint(old, confirming), fingerprint(new, confirming)
    names = dict.fromkeys([*before, *after])
    return [
        f"{name}: {before.get(name, 'not there')} -> {after.get(name, 'not there')}"
        for name in names
        if before.get(name) != after.get(name)
    ]


def _leaves(name: str, value: object) -> Iterator[tuple[str, str]]:
    """Yield the leaves of a tree of mappings and lists of mappings; a list of plain values is one leaf."""
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        value = dict(enumerate(value))
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _leaves(f"{name}.{key}" if name else str(key), item)
    else:
        yield name, json.dumps(value)
