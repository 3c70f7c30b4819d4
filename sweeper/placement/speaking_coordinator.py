"""The coordinator as an actor; in a module of its own, since its process imports whatever stands beside it."""

from __future__ import annotations

from typing import Any

from sweeper.coordinator.coordinator import Coordinator
from sweeper.placement.worker_logs import LinesActor, forward


class SpeakingCoordinator(Coordinator):
    """A coordinator whose process sends `lines` what it logs."""

    def __init__(self, *given: Any, lines: LinesActor | None, **named: Any) -> None:
        forward(lines)
        super().__init__(*given, **named)
