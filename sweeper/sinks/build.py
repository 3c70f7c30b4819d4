"""Open the tracker that is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, assert_never

from sweeper.sinks.protocol import Sink

SinkKind = Literal["tensorboard", "wandb"]


def open_sink(kind: SinkKind, folder: Path, study_name: str) -> Sink:
    """Open a tracker that writes below `folder`; raises SetupError where it is not installed."""
    match kind:
        case "tensorboard":
            from sweeper.sinks.tensorboard import TensorBoard

            return TensorBoard(folder / study_name)
        case "wandb":
            from sweeper.sinks.wandb import WeightsAndBiases

            return WeightsAndBiases(folder, study_name)
        case _:
            assert_never(kind)
