"""The seconds each lane of a cohort has cost: time that lanes take together is divided equally among living lanes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from torch import Tensor

KINDS = ("train_s", "eval_s", "cpu_s")


class LaneSeconds:
    """Seconds of training and of evaluation, and of the processor in both, by lane of a cohort as built."""

    def __init__(self, lanes: int) -> None:
        self._rows = torch.zeros(lanes, len(KINDS), dtype=torch.float64)

    @contextlib.contextmanager
    def counting(self, kind: Literal["train_s", "eval_s"], living: Sequence[int]) -> Iterator[None]:
        """Share out the seconds until the context ends over the lanes living in it."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        for name, spent in ((kind, time.perf_counter() - wall), ("cpu_s", time.process_time() - cpu)):
            self._rows[list(living), KINDS.index(name)] += spent / max(1, len(living))

    def of(self, lane: int) -> dict[str, float]:
        """Return a lane's seconds so far, by kind."""
        return dict(zip(KINDS, self._rows[lane].tolist(), strict=True))

    def rows(self, living: Sequence[int]) -> Tensor:
        """Return the seconds of some lanes, [K, 3]."""
        return self._rows[list(living)]

    def load(self, living: Sequence[int], rows: Tensor) -> None:
        """Go on from what `rows` gave; raise RuntimeError where that were other lanes."""
        self._rows[list(living)] = rows
