"""A network as compiled code, for drawing samples.

Shapes: K lanes, B batch, C channels, H height, W width
"""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor

from trainer.backbones.protocol import Conditioning, Network, Output
from trainer.runtime.compiler import compiled


class CompiledLanes(Network):
    """Calls the lanes of a network one after the other, all by one program that is compiled for a single lane.

    So lanes need no compiling when their number changes, and a lane's samples are those it would have alone. At the
    batches of sampling a call for all lanes is no faster on a CPU.
    """

    def __init__(self, network: Network) -> None:
        super().__init__(network.backbone, network.weights)
        self._program = compiled(network.backbone.__call__)
        self._each = [
            {name: _alone(weight, lane) for name, weight in network.weights.items()} for lane in range(self.lanes)
        ]

    @torch.no_grad()
    def __call__(self, x_KBCHW: Tensor, given: Conditioning, taps: Collection[int] = ()) -> Output:
        """Return the predictions alone; raises CompilerError. Taps are not for samples: there are none."""
        assert not taps
        predictions = []
        for lane, weights in enumerate(self._each):
            own = Conditioning(*(None if part is None else _alone(part, lane) for part in given))  # type: ignore[arg-type]
            predictions.append(self._program(weights, _alone(x_KBCHW, lane), own).prediction)
        return Output(torch.cat(predictions), {})


def _alone(part: Tensor, lane: int) -> Tensor:
    # Of the same strides whatever it is a part of: other strides would be another program.
    return part[lane].contiguous().unsqueeze(0)
