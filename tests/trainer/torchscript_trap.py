"""A module that does harm when it is loaded. TorchScript reads its annotations, so they cannot be postponed."""

import torch


class TorchScriptTrap(torch.nn.Module):
    """Writes a file when torch.jit.load reads it."""

    target: str
    weight: torch.Tensor

    def __init__(self, target: str) -> None:
        super().__init__()
        self.weight, self.target, self.training = torch.zeros(2), target, False

    @torch.jit.export
    def __getstate__(self) -> tuple[torch.Tensor, bool, str]:
        return (self.weight, self.training, self.target)

    @torch.jit.export
    def __setstate__(self, state: tuple[torch.Tensor, bool, str]) -> None:
        self.training = state[1]
        self.target = state[2]
        written = torch.from_file(state[2], shared=True, size=7, dtype=torch.uint8)
        written.copy_(torch.full((7,), 80, dtype=torch.uint8))
        self.weight = written

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x
