"""`sweeper check`: what a study is of, and whether its data and its model fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch

from sweeper.calibration.preflight import check_fit
from sweeper.planning.size import PlanSize, announce, size
from sweeper.study import Study
from sweeper.text.numbers import counted
from trainer.data.dataset import Dataset

MOST_CLASSES = 12  # counted one by one


class CheckedData(NamedTuple):
    """The images or latents of a study: how many there are, of which size and classes, and what was not read.

    `trained_on` counts those that data.limit leaves of what is not `held_out`.
    """

    kind: str
    total: int
    channels: int
    height: int
    width: int
    held_out: int
    trained_on: int
    classes: Mapping[str, int]
    passed_over: tuple[str, ...]

    def describe(self) -> str:
        """Say it in a line or more."""
        limited = "" if self.trained_on == self.total - self.held_out else f", trained on {self.trained_on:,}"
        lines = [
            f"{self.total:,} {self.kind} of {self.height} x {self.width}, {counted(self.channels, 'channel')}, "
            f"{self.held_out:,} of them held out{limited}",
            self._classes(),
            *self._one_class(),
            *(f"note: {one} is passed over" for one in self.passed_over),
        ]
        return "\n".join(lines)

    def _one_class(self) -> Iterator[str]:
        if len(self.classes) == 1:
            # A path one folder too high: every image below counts as of its topmost sub-folder.
            yield "note: one class alone; each sub-folder of an image folder is a class, so is the path one too high?"

    def _classes(self) -> str:
        classes, counts = counted(len(self.classes), "class", "classes"), self.classes.values()
        if len(counts) > MOST_CLASSES:
            return f"{classes} of {min(counts):,} to {max(counts):,}"
        return f"{classes}: {', '.join(f'{name} ({count:,})' for name, count in self.classes.items())}"


class Checked(NamedTuple):
    """A study that fits: what it will train on, and how much."""

    study: Study
    size: PlanSize
    data: CheckedData

    def as_json(self) -> dict[str, object]:
        """Return what `check --json` prints."""
        return {"study": self.study.name, "plan": self.size, "data": self.data}

    def describe(self) -> str:
        """Return what `check` prints."""
        return f"{announce(self.study)}\n{self.data.describe()}"


def check(study: Study) -> Checked:
    """Check a study and its data, on this machine or for another; return what it will train on, and how much.

    Raises the SweeperError of the first thing that does not fit.
    """
    data = check_fit(study, elsewhere=True).data  # a study for a cluster is checked on a laptop
    return Checked(study, size(study), _described(data))


def _described(data: Dataset) -> CheckedData:
    channels, height, width = data.shape
    labels = torch.cat([data.reference_labels, data.held_labels])
    names = data.class_names or tuple(map(str, range(data.classes)))
    counts = torch.bincount(labels, minlength=data.classes).tolist()
    return CheckedData(
        kind="images" if data.pixels else "latents",
        total=len(labels),
        channels=channels,
        height=height,
        width=width,
        held_out=len(data.held_labels),
        trained_on=len(data.train_labels),
        classes=dict(zip(names, counts, strict=True)),
        passed_over=data.passed_over,
    )
