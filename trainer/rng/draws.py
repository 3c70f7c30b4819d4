"""The random numbers of a batch, declared once and drawn in two ways: by torch's generators, or by counters.

An objective declares its random numbers in order. On a CPU each (seed, step) has a generator of its own; on a GPU
counters draw the same kinds of numbers for many steps and seeds at a time, though not the same numbers.

Shapes: R streams of counters, B batch
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Literal, NamedTuple, assert_never

import torch
from torch import Tensor

from trainer.rng import counters


class Draw(NamedTuple):
    """Numbers of one distribution (normal: mean 0, variance 1; uniform: in [0, 1)), for every pixel or every sample."""

    distribution: Literal["normal", "uniform"]
    each: Literal["pixel", "sample"]

    def shape(self, batch: int, image: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of a batch of them, `image` being (C, H, W)."""
        match self.each:
            case "pixel":
                return (batch, *image)
            case "sample":
                return (batch,)
            case _:
                assert_never(self.each)


Wanted = Mapping[str, Draw]


def from_generator(
    wanted: Wanted, random: torch.Generator, batch: int, image: tuple[int, ...], device: torch.device
) -> dict[str, Tensor]:
    """Draw one batch, in the order that is wanted."""
    return {name: _drawn(draw, random, draw.shape(batch, image), device) for name, draw in wanted.items()}


def from_counters(wanted: Wanted, keys_R: Tensor, batch: int, image: tuple[int, ...]) -> dict[str, Tensor]:
    """Draw one batch of every stream, each [R, B, ...]; later draws come further on in the stream."""
    drawn, first = {}, 0
    for name, draw in wanted.items():
        shape = draw.shape(batch, image)
        drawn[name] = _counted(draw, keys_R, first, prod(shape)).view(len(keys_R), *shape)
        first += prod(shape)
    return drawn


def _drawn(draw: Draw, random: torch.Generator, shape: tuple[int, ...], device: torch.device) -> Tensor:
    match draw.distribution:
        case "normal":
            return torch.randn(shape, generator=random, device=device)
        case "uniform":
            return torch.rand(shape, generator=random, device=device)
        case _:
            assert_never(draw.distribution)


def _counted(draw: Draw, keys_R: Tensor, first: int, count: int) -> Tensor:
    match draw.distribution:
        case "normal":
            return counters.normal(keys_R, first, count)
        case "uniform":
            return counters.uniform(keys_R, first, count)
        case _:
            assert_never(draw.distribution)
