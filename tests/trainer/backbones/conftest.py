"""Every backbone of the list, for the tests that hold them against the contract."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from tests.trainer.backbones.cases import CASES, CLASSES, SHAPE, Case
from trainer.backbones.protocol import Backbone


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Case:
    given: Case = request.param
    return given


@pytest.fixture
def backbone(case: Case) -> Backbone:
    return case.build(SHAPE, CLASSES)


@pytest.fixture
def wide(case: Case) -> Iterator[Backbone]:
    """The same in float64."""
    torch.set_default_dtype(torch.float64)
    yield case.build(SHAPE, CLASSES)
    torch.set_default_dtype(torch.float32)
