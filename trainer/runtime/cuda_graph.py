"""A function of no arguments as one CUDA graph: hundreds of small kernels for the cost of one launch.

The function must read and write buffers at fixed addresses, and must never wait for the device. On other devices it
is called directly.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import lru_cache
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor

logger = logging.getLogger(__name__)

T = TypeVar("T")

WARM_UPS = 3  # calls before the capture: libraries initialise, autograd allocates its buffers


class Recorder(Protocol):
    """Records a function and replays it: a CUDA graph, or a test's stand-in."""

    def aside(self, function: Callable[[], T]) -> T:
        """Call the function in a way that does not affect a later recording."""

    def record(self, function: Callable[[], T]) -> T:
        """Record what the function does, without doing it; return its result, which every replay fills."""

    def replay(self) -> None:
        """Do what was recorded."""


class Captured(Generic[T]):
    """Calls a function: directly the first few times, then as a graph. Every call does the function's work once.

    So warming up costs no work that has to be undone. A replay's result lies in the same tensors every time. Where
    the capture fails the function is called as it is from then on, with one warning.
    """

    def __init__(
        self,
        function: Callable[[], T],
        device: torch.device,
        recorder: Recorder | None = None,
        warm_ups: int = WARM_UPS,
    ) -> None:
        self._function = function
        self._recorder = recorder or (CudaGraph(device) if device.type == "cuda" else None)
        self._left, self._recorded = warm_ups, False
        self._result: T

    @property
    def captured(self) -> bool:
        """Whether calls are replays by now."""
        return self._recorded

    def __call__(self) -> T:
        """Do the function's work and return its result."""
        if self._recorder is None:
            return self._function()
        if self._left:
            self._left -= 1
            return self._recorder.aside(self._function)
        if not self._recorded:
            self._record(self._recorder)
        if not self._recorded:
            return self._function()
        self._recorder.replay()
        return self._result

    def _record(self, recorder: Recorder) -> None:
        # After a failure our caller calls the function, once the error is released: it holds the capture's tensors.
        try:
            self._result = recorder.record(self._function)
            self._recorded = True
        except RuntimeError as error:
            reason = error.__context__ or error  # ending a capture raises again, and says less
            logger.warning("not captured as a CUDA graph, so it runs several times slower: %s", reason)
            self._recorder = None


class CapturedCall:
    """A function of tensors, captured for the shapes of its first call; of other shapes it is called as it is.

    `plain` says that it is never captured here.
    """

    def __init__(
        self,
        function: Callable[..., Tensor],
        device: torch.device,
        recorder: Recorder | None = None,
        warm_ups: int = WARM_UPS,
    ) -> None:
        self._function, self.plain = function, device.type != "cuda" and recorder is None
        # Not through self: a reference cycle would keep the graph's memory until garbage collection.
        self._buffers = buffers = list[Tensor]()
        self._captured = Captured(lambda: function(*buffers), device, recorder, warm_ups)

    def __call__(self, *inputs: Tensor) -> Tensor:
        """Return the function's result, in a tensor that the caller owns."""
        if self.plain:
            return self._function(*inputs)
        if not self._buffers:
            self._buffers += [torch.empty_like(part, memory_format=torch.contiguous_format) for part in inputs]
        if any(part.shape != buffer.shape for part, buffer in zip(inputs, self._buffers, strict=True)):
            return self._function(*inputs)
        for part, buffer in zip(inputs, self._buffers, strict=True):
            buffer.copy_(part)
        return self._captured().clone()


class CudaGraph:
    """A graph with a memory pool of its own, freed with the graph."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._graph = torch.cuda.CUDAGraph()
        self._stream = _side_stream(device)

    def aside(self, function: Callable[[], T]) -> T:
        """Call the function on another stream, which torch's notes on CUDA graphs require for warm-up."""
        here = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(here)
        with torch.cuda.stream(self._stream):
            result = function()
        here.wait_stream(self._stream)
        return result

    def record(self, function: Callable[[], T]) -> T:
        """Capture the function; raises RuntimeError where it does what cannot be captured."""
        here = torch.cuda.current_stream(self._device)
        try:
            with torch.cuda.graph(self._graph, stream=self._stream):
                return function()
        except RuntimeError:
            # torch 2.13 leaves its capture stream the current one when ending the capture raises, too.
            torch.cuda.set_stream(here)
            torch.cuda.synchronize(self._device)
            torch.cuda.empty_cache()
            raise

    def replay(self) -> None:
        """Launch the graph; returns before it has run."""
        self._graph.replay()


@lru_cache
def _side_stream(device: torch.device) -> torch.cuda.Stream:
    # One for all graphs: cuBLAS keeps a workspace for every stream it has seen.
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
