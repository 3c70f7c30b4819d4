"""REPA's encoder where no pretrained one is available: a small convnet trained on the training images themselves.

It is built as the domain extractor is, but on its own seed and only on the images that trials train on (data.limit
included), so that it brings in no information that a trial does not have. FID never uses it.
"""

from __future__ import annotations

from pathlib import Path

from trainer.data.dataset import Dataset
from trainer.evaluation.domain_extractor import SEED, DomainNet, fresh_net, train_net, weights_sha256
from trainer.runtime.cached_file import made_once

# Raise it with every change below: it names the cached weights, and so every trial that was aligned with them.
VERSION = 1
OWN_SEED = SEED + 1


def local_encoder(data: Dataset, cache: Path) -> tuple[DomainNet, str]:
    """Return the frozen encoder of a data set and the SHA-256 of its weights, trained on first use (seconds)."""
    owner = f"local encoder {VERSION} of {data.hash}"
    path = cache / f"local-encoder-v{VERSION}-{data.hash[:16]}.safetensors"
    state = made_once(path, owner, lambda: train_net(data, data.train_images, data.train_labels, OWN_SEED))
    state.pop("held_accuracy")
    net = fresh_net(data, OWN_SEED)
    net.load_state_dict(state)
    return net.requires_grad_(False).eval(), weights_sha256(state)
