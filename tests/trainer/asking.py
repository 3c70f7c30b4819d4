"""What a step asks of the host: nothing, where it is to be part of a CUDA graph."""

from __future__ import annotations

from torch.utils._python_dispatch import TorchDispatchMode


class Asking(TorchDispatchMode):
    """Notes operations that move numbers between host and device, or wait for the device."""

    ASKS = frozenset(
        {"_local_scalar_dense", "lift_fresh", "nonzero", "is_nonzero", "equal", "masked_select", "unique", "item"}
    )

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.seen = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function._schema.name.removeprefix("aten::")
        moves = name == "_to_copy" and (kwargs or {}).get("device", args[0].device) != args[0].device
        self.seen += 1
        if name in self.ASKS or moves:
            self.asked.append(name)
        return function(*args, **(kwargs or {}))
