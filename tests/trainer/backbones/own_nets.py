"""Modules as a user may write them, good ones and others."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Mlp(nn.Module):
    def __init__(self, shape: tuple[int, int, int], classes: int, width: int = 6) -> None:
        super().__init__()
        self.shape, pixels = shape, shape[0] * shape[1] * shape[2]
        self.first, self.last = nn.Linear(pixels + 1, width), nn.Linear(width, pixels)
        self.label = nn.Embedding(classes + 1, width)
        self.tokens, self.unused = nn.Identity(), nn.Identity()
        self.register_buffer("offset", torch.tensor(0.25))

    def forward(self, x: Tensor, time: Tensor, label: Tensor) -> Tensor:
        hidden = self.first(torch.cat([x.flatten(1), time[:, None]], 1)) + self.label(label) + self.offset
        hidden = self.tokens(hidden.tanh()[:, None])[:, 0]
        return self.last(hidden).view(-1, *self.shape)


def mlp(shape: tuple[int, int, int], classes: int, width: int = 6) -> nn.Module:
    return Mlp(shape, classes, width)


def flat(shape: tuple[int, int, int], classes: int) -> nn.Module:
    module = Mlp(shape, classes)
    module.shape = (shape[0] * shape[1] * shape[2],)  # type: ignore[assignment]
    return module


def with_dropout(shape: tuple[int, int, int], classes: int) -> nn.Module:
    module = Mlp(shape, classes)
    module.tokens = nn.Dropout(0.1)  # type: ignore[assignment]
    return module


def with_statistics(shape: tuple[int, int, int], classes: int) -> nn.Module:
    module = Mlp(shape, classes)
    module.tokens = nn.BatchNorm1d(1)  # type: ignore[assignment]
    return module


class Tuple(Mlp):
    def forward(self, x: Tensor, time: Tensor, label: Tensor) -> Tensor:
        return (super().forward(x, time, label),)  # type: ignore[return-value]


def a_tuple(shape: tuple[int, int, int], classes: int) -> nn.Module:
    return Tuple(shape, classes)


def not_finite(shape: tuple[int, int, int], classes: int) -> nn.Module:
    module = Mlp(shape, classes)
    nn.init.constant_(module.last.bias, float("nan"))
    return module


class Unlabelled(Mlp):
    def forward(self, x: Tensor, time: Tensor, label: Tensor) -> Tensor:
        return super().forward(x, time, label + 1)  # beyond the embedding


def unlabelled(shape: tuple[int, int, int], classes: int) -> nn.Module:
    return Unlabelled(shape, classes)


def no_module(shape: tuple[int, int, int], classes: int) -> object:
    return (shape, classes)


def failing(shape: tuple[int, int, int], classes: int) -> nn.Module:
    raise KeyError(f"{shape} {classes}")
