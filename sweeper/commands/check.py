"""`sweeper check`: what a study is of, and whether its data and its model fit."""

from __future__ import annotations

import torch

from sweeper.calibration.preflight import check_fit
from sweeper.planning.size import announce
from sweeper.study import Study
from sweeper.text.numbers import counted
from trainer.data.dataset import Dataset

MOST_CLASSES = 12  # counted one by one


def check(study: Study) -> str:
    """Check a study and its data, on this machine or for another; return what it will train on, and how much.

    Raises the SweeperError of the first thing that does not fit.
    """
    data = check_fit(study, elsewhere=True).data  # a study for a cluster is checked on a laptop
    return f"{announce(study)}\n{describe_data(data)}"


def describe_data(data: Dataset) -> str:
    """Say how many images there are, of which size and classes, and what lay beside them and was not read."""
    channels, height, width = data.shape
    kind = "images" if data.pixels else "latents"
    labels = torch.cat([data.reference_labels, data.held_labels])
    limited = "" if len(data.train_labels) == len(data.reference_labels) else f", trained on {len(data.train_labels):,}"
    lines = [
        f"{len(labels):,} {kind} of {height} x {width}, {counted(channels, 'channel')}, "
        f"{len(data.held_labels):,} of them held out{limited}",
        _classes(labels, data),
        *(f"note: {one} is passed over" for one in data.passed_over),
    ]
    return "\n".join(lines)


def _classes(labels: torch.Tensor, data: Dataset) -> str:
    counts = torch.bincount(labels, minlength=data.classes).tolist()
    classes = counted(data.classes, "class", "classes")
    if len(counts) > MOST_CLASSES:
        return f"{classes} of {min(counts):,} to {max(counts):,}"
    names = data.class_names or tuple(map(str, range(data.classes)))
    return f"{classes}: {', '.join(f'{name} ({count:,})' for name, count in zip(names, counts, strict=True))}"
