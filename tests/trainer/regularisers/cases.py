"""The regularisers that the contract is held against, four lanes of each; a new one is added here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from tests.trainer.regularisers.places import Places
from trainer.recipe import ActivationNorm, Contrastive, Dispersion, Lane, Repa, TrainRecipe
from trainer.recipe.auxiliary_losses import AuxiliaryLoss
from trainer.regularisers.build import regulariser_of
from trainer.regularisers.protocol import Regulariser
from trainer.rng.draws import Wanted
from trainer.training.second_view import with_second_view


class Case(NamedTuple):
    """Lanes, what makes their regulariser, called as `regulariser_of`, and what their recipe adds to every lane.

    Only the first lane has lambda 0.
    """

    name: str
    lanes: tuple[Lane, ...]
    make: Callable[..., Regulariser]
    added: Mapping[str, AuxiliaryLoss] = {}

    def train(self, given: TrainRecipe) -> TrainRecipe:
        """Return the recipe with what it adds."""
        return given.model_copy(update=dict(self.added))

    def wanted(self, draws: Wanted) -> Wanted:
        """Return an objective's draws and what a second view needs."""
        return with_second_view(draws, self.train(TrainRecipe()).contrastive)


def _with_places(lanes: Sequence[Lane], train: TrainRecipe, backbone: Any, _targets: Any, device: Any) -> Regulariser:
    return regulariser_of(lanes, train, backbone, Places, device)


DISPERSIVE = (
    Lane(Dispersion(), 0),
    Lane(Dispersion(blocks=(1,), lam=0.25, tau=0.5), 0),
    Lane(Dispersion(blocks=(0, 1), lam=0.1, tau=1.0, variant="hinge"), 1),
    Lane(Dispersion(blocks=(0,), lam=0.05, tau=0.5, tau_units="relative"), 1),
)
REPA = Repa.model_validate({"block": 1, "lambda": 0.5, "hidden": 12})
CONTRASTIVE = Contrastive.model_validate({"block": 0, "lambda": 0.25, "tau": 0.5})
NORM = ActivationNorm.model_validate({"block": 1, "lambda": 0.5})
BANKS = (
    Lane(Dispersion(negatives=20), 0),
    Lane(Dispersion(blocks=(1,), lam=0.25, tau=0.5, negatives=20), 0),
    Lane(Dispersion(blocks=(0,), lam=0.5, variant="cosine", negatives=20, lam_warmup=0.05), 1),
    Lane(Dispersion(blocks=(1,), lam=0.1, tau_units="median", features="layer_norm", negatives=20), 1),
)
CASES = (
    Case("the Dispersive Loss", DISPERSIVE, _with_places),
    Case("REPA, which trains a projector, beside it", DISPERSIVE, _with_places, {"repa": REPA}),
    Case("a contrastive loss of two views beside it", DISPERSIVE, _with_places, {"contrastive": CONTRASTIVE}),
    Case("a penalty on size beside it", DISPERSIVE, _with_places, {"activation_norm": NORM}),
    Case(
        "all of them",
        DISPERSIVE,
        _with_places,
        {"repa": REPA, "contrastive": CONTRASTIVE, "activation_norm": NORM},
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
    Case("the Dispersive Loss with a memory bank, of which no batch makes a whole", BANKS, _with_places),
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
    Case(
        "three of them, with trained weights and a memory bank",
        BANKS,
        _with_places,
        {"repa": REPA, "contrastive": CONTRASTIVE},
    ),
)
