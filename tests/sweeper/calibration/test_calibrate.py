"""What a study's lanes are measured with."""

from __future__ import annotations

from sweeper.calibration.calibrate import largest_bank
from sweeper.study import Study


def test_lanes_are_measured_with_the_largest_memory_bank_of_space_cells_and_controls() -> None:
    given = {"name": "x", "question": "?", "space": {"block": [0], "lambda": [0.1]}}
    assert largest_bank(Study.model_validate(given)) is None
    given["space"] = {"block": [0], "lambda": [0.1], "negatives": ["batch", 64]}
    assert largest_bank(Study.model_validate(given)) == (64, 1)
    cell = {"label": "c", "block": 0, "lambda": 0.1, "negatives": 128}
    assert largest_bank(Study.model_validate({**given, "cells": [cell]})) == (128, 1)
    arm = {"name": "a", "set": {"train.weight_decay": 0.1}, "block": 0, "lambda": 0.1, "negatives": 256}
    assert largest_bank(Study.model_validate({**given, "cells": [cell], "controls": [arm]})) == (256, 1)


def test_a_bank_of_many_blocks_is_larger_than_one_of_more_entries() -> None:
    space = {"block": [0, "all"], "lambda": [0.1], "negatives": [64, "batch"]}
    cell = {"label": "c", "block": 0, "lambda": 0.1, "negatives": 128}
    study = Study.model_validate({"name": "x", "question": "?", "space": space, "cells": [cell]})
    assert largest_bank(study) == (64, 4)
