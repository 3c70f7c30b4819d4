"""A network as a program of one lane, compiled or with its blocks in bfloat16, for drawing samples.

Shapes: K lanes, B batch, C channels, H height, W width
"""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor

from trainer.backbones.protocol import Conditioning, Network, Output
from trainer.runtime.compiler import compiled


class LaneByLane(Network):
    """Calls the lanes of a network one after the other, all with one program for a single lane.

    So a new number of lanes needs no recompilation, and a lane's samples are those it would have alone. At the
    batches of sampling a call for all lanes is no faster on a CPU.

    With `low` a SiT's blocks multiply and attend in bfloat16. Their sum, the embeddings and modulations before them and
    the layer after them stay in float32: all samples of a batch have the time in common, so that its rounding would
    move them all alike, and FID three times as far (reports/bf16_sampling_2026-11-27.md), for 3 % of the operations.
    """

    def __init__(self, network: Network, compile: bool, low: bool) -> None:
        super().__init__(network.backbone, network.weights)
        self._program = compiled(network.backbone.__call__) if compile else network.backbone
        lowered = {name for name, slot in network.backbone.layout.items() if low and slot.is_factor_of_blocks}
        self._each = [
            {
                # Lowered weights are copies, each where fast products can begin, whichever lane it is.
                name: _alone(weight, lane).to(torch.bfloat16 if name in lowered else weight.dtype)
                for name, weight in network.weights.items()
            }
            for lane in range(self.lanes)
        ]

    @torch.no_grad()
    def __call__(self, x_KBCHW: Tensor, condition: Conditioning, taps: Collection[int] = ()) -> Output:
        """Return the predictions alone; raises CompilerError. Taps are not for samples: there are none."""
        assert not taps
        predictions = []
        for lane, weights in enumerate(self._each):
            own = Conditioning(*(None if part is None else _alone(part, lane) for part in condition))  # type: ignore[arg-type]
            predictions.append(self._program(weights, _alone(x_KBCHW, lane), own).prediction)
        return Output(torch.cat(predictions), {})


def _alone(part: Tensor, lane: int) -> Tensor:
    # The same strides whichever tensor it is a part of: other strides would need another program.
    return part[lane].contiguous().unsqueeze(0)
