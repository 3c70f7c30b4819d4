"""What a block is aligned with where no pretrained encoder is at hand: a small convnet of the training images' own.

It is made as the domain extractor is, apart from it: on a seed of its own, and on the images that are trained on alone
(data.limit and all), so that it brings in nothing that a trial does not see. FID never looks through it.
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
