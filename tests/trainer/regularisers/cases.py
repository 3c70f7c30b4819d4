"""The regularisers that the contract is held against, four lanes of each; a new one is added here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from tests.trainer.regularisers.places import Places
from trainer.recipe import Alignment, Dispersion, Lane
from trainer.regularisers.build import regulariser_of
from trainer.regularisers.protocol import Regulariser


class Case(NamedTuple):
    """Lanes, and what makes their regulariser, called as `regulariser_of`. Only the first lane has lambda 0."""

    name: str
    lanes: tuple[Lane, ...]
    make: Callable[..., Regulariser]


def _with_places(settings: Any, backbone: Any, batch: int, _targets: Any, device: Any) -> Regulariser:
    return regulariser_of(settings, backbone, batch, Places, device)


CASES = (
    Case(
        "the Dispersive Loss",
        (
            Lane(Dispersion(), 0),
            Lane(Dispersion(blocks=(1,), lam=0.25, tau=0.5), 0),
            Lane(Dispersion(blocks=(0, 1), lam=0.1, tau=1.0, variant="hinge"), 1),
            Lane(Dispersion(blocks=(0,), lam=0.05, tau=0.5, tau_units="relative"), 1),
        ),
        _with_places,
    ),
    Case(
        "alignment, which trains a projector",
        (
            Lane(Alignment(lam=0, hidden=12), 0),
            Lane(Alignment(block=1, hidden=12), 0),
            Lane(Alignment(block=0, lam=2.0, hidden=12), 1),
            Lane(Alignment(block=1, lam=0.1, hidden=12), 2),
        ),
        _with_places,
    ),
    Case(
        "the Dispersive Loss in its other forms",
        (
            Lane(Dispersion(), 0),
            Lane(Dispersion(blocks=(1,), lam=0.25, tau=50.0, distance="sum"), 0),
            Lane(Dispersion(blocks=(0, 1), lam=0.1, features="layer_norm", lam_warmup=0.05), 1),
            Lane(Dispersion(blocks=(0,), lam=0.05, tau=0.5, tau_units="median", lam_end=0.1), 1),
        ),
        _with_places,
    ),
    Case(
        "the Dispersive Loss with a memory bank, of which no batch makes a whole",
        (
            Lane(Dispersion(negatives=20), 0),
            Lane(Dispersion(blocks=(1,), lam=0.25, tau=0.5, negatives=20), 0),
            Lane(Dispersion(blocks=(0,), lam=0.5, variant="cosine", negatives=20, lam_warmup=0.05), 1),
            Lane(Dispersion(blocks=(1,), lam=0.1, tau_units="median", features="layer_norm", negatives=20), 1),
        ),
        _with_places,
    ),
    Case(
        "memory banks of two blocks",
        (
            Lane(Dispersion(blocks=(0, 1), negatives=4), 0),
            Lane(Dispersion(blocks=(0, 1), lam=0.25, tau=0.5, negatives=4), 0),
            Lane(Dispersion(blocks=(0, 1), lam=0.5, variant="hinge", negatives=4), 1),
            Lane(Dispersion(blocks=(0, 1), lam=0.1, tau_units="relative", negatives=4), 1),
        ),
        _with_places,
    ),
)
