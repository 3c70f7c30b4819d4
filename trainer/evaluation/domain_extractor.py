"""The domain extractor: a small convnet trained once on a data set, whose features replace Inception's offline."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainer.data.dataset import Dataset
from trainer.data.images import Images
from trainer.runtime.cached_file import made_once

# Raise it with every change below: it names the cached weights, and so every figure made with them.
VERSION = 1
DIM = 64
SEED = 2506
BATCH = 128
STEPS = (800, 4000)  # at least and at most; ten epochs in between
LR = 3e-3
WEIGHT_DECAY = 0.05


class DomainExtractor(NamedTuple):
    """A frozen network, the SHA-256 of its weights, and its accuracy on held-out images."""

    net: DomainNet
    sha256: str
    accuracy: float


class DomainNet(nn.Module):
    """Three convolutions to 64 features; the last one spans the whole remaining map, so position matters."""

    def __init__(self, shape: tuple[int, int, int], classes: int) -> None:
        super().__init__()
        channels, height, width = shape
        stride = max(1, min(height, width) // 14)
        self.first = nn.Conv2d(channels, 32, stride + 2, stride, padding=1)
        self.second = nn.Conv2d(32, DIM, 3, 2, padding=1)
        with torch.no_grad():
            left = self.second(self.first(torch.zeros(1, *shape))).shape[-2:]
        self.third = nn.Conv2d(DIM, DIM, (left[0], left[1]))
        self.head = nn.Linear(DIM, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return the features [B, 64] of images [B, C, H, W]."""
        return self.pooled(self.spatial(x))

    def spatial(self, x: Tensor) -> Tensor:
        """Return the spatial features [B, 64, h, w], before the last convolution."""
        return functional.gelu(self.second(functional.gelu(self.first(x))))

    def pooled(self, spatial: Tensor) -> Tensor:
        """Return the features [B, 64] of images from their spatial features."""
        return functional.gelu(self.third(spatial)).flatten(1)


def domain_extractor(data: Dataset, cache: Path) -> DomainExtractor:
    """Return the extractor of a data set, trained on its whole training split on first use.

    With a single class there is nothing to learn, so the weights stay random.
    """
    owner = f"domain extractor {VERSION} of {data.reference_hash}"
    path = cache / f"domain-v{VERSION}-{data.reference_hash[:16]}.safetensors"
    state = made_once(path, owner, lambda: train_net(data, data.reference_images, data.reference_labels, SEED))
    accuracy = float(state.pop("held_accuracy"))
    net = fresh_net(data, SEED)
    net.load_state_dict(state)
    return DomainExtractor(net.requires_grad_(False).eval(), weights_sha256(state), accuracy)


def weights_sha256(state: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of named float tensors, whatever file they came from."""
    digest = hashlib.sha256()
    for name in sorted(state):
        digest.update(f"{name} {list(state[name].shape)} ".encode())
        digest.update(state[name].contiguous().numpy().tobytes())
    return digest.hexdigest()


def train_net(data: Dataset, images: Images, labels: Tensor, seed: int) -> dict[str, Tensor]:
    """Train on some of the data's images on the CPU; return the weights and their accuracy on its held-out images."""
    images, labels = images.to("cpu"), labels.cpu()
    steps = min(max(10 * len(images) // BATCH, STEPS[0]), STEPS[1])
    random = torch.Generator().manual_seed(seed)
    with _one_thread(), torch.enable_grad():
        net = fresh_net(data, seed)
        optimizer = torch.optim.AdamW(net.parameters(), lr=LR, weight_decay=WEIGHT_DECAY)
        for step in range(steps):
            optimizer.param_groups[0]["lr"] = LR * min(1, (step + 1) / 20) * (1 + math.cos(math.pi * step / steps)) / 2
            chosen = torch.randint(len(images), (BATCH,), generator=random)
            loss = functional.cross_entropy(net.head(net(images[chosen])), labels[chosen], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        accuracy = _accuracy(net, data.held_images.to("cpu"), data.held_labels.cpu())
    return {**net.state_dict(), "held_accuracy": torch.tensor(accuracy)}


def fresh_net(data: Dataset, seed: int) -> DomainNet:
    """Return an untrained network for a data set's images, without touching torch's global generator."""
    with torch.random.fork_rng(devices=[]):  # layers draw their initial weights from torch's global generator
        torch.manual_seed(seed)
        return DomainNet(data.shape, data.classes)


@torch.no_grad()
def _accuracy(net: DomainNet, images: Images, labels: Tensor) -> float:
    guessed = torch.cat([net.head(net(images[i : i + BATCH])).argmax(1) for i in range(0, len(images), BATCH)])
    return float((guessed == labels).double().mean())


@contextmanager
def _one_thread() -> Iterator[None]:
    # A gradient's rounding depends on the number of threads, and so would the weights' hash.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
