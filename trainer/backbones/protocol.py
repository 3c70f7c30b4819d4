"""The contract of a backbone: a network as a pure function of a flat buffer of weights, for K lanes at once.

From a noised image, a time and a label it predicts something shaped like an image; only the objective knows what that
is, and what the time means. Its taps are the places whose representations can be regularised and measured.

Shapes: K lanes, B batch, N tokens (or pixels of a feature map), D width, P weights of a lane
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

NOBODY = -1


class Slot(NamedTuple):
    """One tensor among a lane's weights; `is_factor`: products use it, so bf16 training casts it.

    `owners` are the taps whose blocks it belongs to, one for each of so many equal parts of its last dimension;
    embeddings and layers after the last block belong to NOBODY.
    """

    shape: tuple[int, ...]
    is_factor: bool = True
    owners: tuple[int, ...] = (NOBODY,)

    @property
    def is_factor_of_blocks(self) -> bool:
        """Whether products of blocks alone use it."""
        return self.is_factor and NOBODY not in self.owners


Layout = Mapping[str, Slot]


class Conditioning(NamedTuple):
    """What a prediction is conditioned on, each [K, B]: time, label (the number of classes means none).

    `until` is where an average velocity's interval ends (or begins), for objectives that have one.
    """

    time: Tensor
    label: Tensor
    until: Tensor | None = None


class Output(NamedTuple):
    """The prediction [K, B, O, H, W], and the representations [K, B, N, D] at the taps that were asked for.

    O is the number of an image's channels, or twice it where an objective learns a variance.
    """

    prediction: Tensor
    taps: Mapping[int, Tensor]


class TapShape(NamedTuple):
    """A sample's representation at a tap: `tokens` vectors, each `width` wide."""

    tokens: int
    width: int

    @property
    def elements(self) -> int:
        """How many numbers a representation has."""
        return self.tokens * self.width


class Backbone(Protocol):
    """Holds sizes and fixed embeddings; weights come with every call, as views [K, ...] by the layout's names."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""

    @property
    def classes(self) -> int:
        """How many labels there are; one more stands for none."""

    @property
    def layout(self) -> Layout:
        """A lane's weights, in the order they lie in the buffer."""

    @property
    def taps(self) -> tuple[str, ...]:
        """The names of the taps; elsewhere they are numbered in this order."""

    @property
    def tap_shapes(self) -> tuple[TapShape, ...]:
        """The shape of a sample's representation at each tap."""

    @property
    def source_sha256(self) -> str:
        """The hash of a user's code that the network is made of; empty for ours."""

    def initial_weights(self, generator: torch.Generator) -> Tensor:
        """Return one lane's weights [P], on the CPU."""

    def __call__(
        self, weights: Mapping[str, Tensor], x_KBCHW: Tensor, condition: Conditioning, taps: Collection[int] = ()
    ) -> Output:
        """Return the prediction and the outputs of `taps`; without gradients all other activations are freed."""

    def walk(self, weights: Mapping[str, Tensor], x_KBCHW: Tensor, condition: Conditioning) -> Iterator[Tensor]:
        """Yield the representations [K, B, N, D] at every tap in turn, so that only one needs to be in memory."""

    def state_dict(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return one lane's weights, shaped as in the layout, under the names and shapes of a file."""

    def from_state_dict(self, state: Mapping[str, Tensor], place: str) -> Tensor:
        """Return one lane's weights [P] from such a file's; raise DataError, which names `place`, for another's."""


class Network:
    """A backbone with weights: what an objective calls.

    With `low` its products are in bfloat16; `compiled` fuses its kernels with torch.compile.
    """

    def __init__(
        self, backbone: Backbone, weights: Mapping[str, Tensor], low: bool = False, compiled: bool = False
    ) -> None:
        self.backbone, self.weights, self._low = backbone, weights, low
        self._call = torch.compile(backbone.__call__, dynamic=False) if compiled else backbone
        first = next(iter(weights.values()))
        self.lanes, self.device = len(first), first.device

    def __call__(self, x_KBCHW: Tensor, condition: Conditioning, taps: Collection[int] = ()) -> Output:
        """Call the backbone."""
        if not self._low:
            return self._call(self.weights, x_KBCHW, condition, taps)
        with torch.autocast(self.device.type, torch.bfloat16):
            return self._call(self.weights, x_KBCHW, condition, taps)

    def walk(self, x_KBCHW: Tensor, condition: Conditioning) -> Iterator[Tensor]:
        """Give the representations at every tap in turn."""
        return self.backbone.walk(self.weights, x_KBCHW, condition)
