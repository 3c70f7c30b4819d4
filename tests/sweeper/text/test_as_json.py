"""A command's result as JSON."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest

from sweeper.records import Progress
from sweeper.text.as_json import to_json


class Named(NamedTuple):
    value: float
    path: Path


@dataclass(frozen=True)
class Kept:
    words: tuple[str, ...]


def test_results_of_any_kind_become_plain_json() -> None:
    found = to_json({"a": Named(math.nan, Path("x/y")), "b": [Kept(("one",)), Progress(stage="screen", counts={})]})
    assert json.loads(found) == {
        "a": {"value": None, "path": "x/y"},
        "b": [{"words": ["one"]}, Progress(stage="screen", counts={}).model_dump(mode="json")],
    }
    with pytest.raises(TypeError, match="a object has no form in JSON"):
        to_json(object())
