"""What tests of two studies share."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="module")
def frozen() -> Iterator[None]:
    """Keep statsmodels' multipletests, which collects garbage at every call, from walking what tests imported."""
    gc.freeze()
    yield
    gc.unfreeze()
