"""Every regulariser of the list, for the tests that hold them against the contract."""

from __future__ import annotations

import pytest

from tests.trainer.regularisers.cases import CASES, Case


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Case:
    given: Case = request.param
    return given
