"""A command's result as JSON: whatever typed thing its text is made from."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path


def to_json(found: object) -> str:
    """Write a result as JSON. A number that JSON does not have, such as a metric of a diverged trial, becomes null."""
    return json.dumps(_plain(found), indent=2, allow_nan=False)


def _plain(found: object) -> object:
    """Return a result as JSON has it: a result's own `as_json` first, else its fields by name."""
    for name in ("as_json", "model_dump", "_asdict"):  # ours, pydantic's, a named tuple's
        if callable(fields := getattr(found, name, None)):
            return _plain(fields())
    match found:
        case None | bool() | int() | str():
            return found
        case float():
            return found if math.isfinite(found) else None
        case Path():
            return str(found)
        case Mapping():
            return {str(name): _plain(value) for name, value in found.items()}
        case Sequence():
            return [_plain(one) for one in found]
        case _ if dataclasses.is_dataclass(found) and not isinstance(found, type):
            return {field.name: _plain(getattr(found, field.name)) for field in dataclasses.fields(found)}
        case _:
            raise TypeError(f"a {type(found).__name__} has no form in JSON")
