"""A second view of a batch: the same images and labels under other noise, for terms that compare two views."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from trainer.recipe import Contrastive
from trainer.rng.draws import Wanted

PREFIX = "view2."  # before the names of its draws


def with_second_view(wanted: Wanted, contrastive: Contrastive | None) -> Wanted:
    """Return an objective's draws and, where a recipe is contrastive, those of a second view.

    A draw per sample is a time: views that share their times differ only in the draws per pixel.
    """
    if contrastive is None:
        return wanted
    kept = ("pixel",) if contrastive.times == "shared" else ("pixel", "sample")
    return {**wanted, **{f"{PREFIX}{name}": draw for name, draw in wanted.items() if draw.each in kept}}


def is_of_second_view(name: str) -> bool:
    """Whether a draw is a second view's."""
    return name.startswith(PREFIX)


def drawn_anew(draws: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a batch's draws under the objective's names, with the second view's in place of the first's."""
    first = {name: part for name, part in draws.items() if not is_of_second_view(name)}
    return first | {name.removeprefix(PREFIX): part for name, part in draws.items() if is_of_second_view(name)}
