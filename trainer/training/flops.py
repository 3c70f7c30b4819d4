"""How many floating-point operations a training step and a sample take, by formula; a multiply-add counts as two."""

from __future__ import annotations

from collections.abc import Sequence

from trainer.backbones.flops import PassFlops, pass_flops
from trainer.backbones.protocol import Backbone, TapShape
from trainer.backbones.sit import SiT
from trainer.recipe import Dispersion, EvalRecipe, MeanFlowRecipe, ObjectiveRecipe, Recipe
from trainer.recipe.metrics import PROBE_IMAGES, VALIDATION_IMAGES


def step_flops(network: PassFlops, objective: ObjectiveRecipe, batch: int) -> int:
    """Return the operations of one lane's step: forward, backward and, for MeanFlow, its Jacobian-vector product.

    Guidance inside MeanFlow's training takes further forward passes. AdamW and the average are left out.
    """
    return batch * (network.forward + network.backward + _added(network, objective))


def dispersive_flops(setting: Dispersion, taps: Sequence[TapShape], batch: int) -> int:
    """Return the operations that a setting's Dispersive Loss adds to a step: B x B products of all its blocks."""
    if setting.lam == 0:
        return 0
    compared = batch if setting.local_batch == "all" else setting.local_batch
    if setting.negatives != "batch":
        compared += setting.negatives
    # The written-out gradient (infonce.py) is one product beside the Gram matrix; autograd takes two.
    written_out = (setting.variant, setting.tau_units, setting.negatives) == ("l2", "absolute", "batch")
    products = 2 if written_out else 3
    return sum(products * 2 * batch * compared * taps[block].elements for block in setting.blocks)


def second_view_flops(network: PassFlops, recipe: Recipe) -> int:
    """Return at most how many operations a contrastive loss's second view adds to a step: a pass there and back."""
    return recipe.train.batch * (network.forward + network.backward) if recipe.train.contrastive else 0


def training_flops(network: Backbone, recipe: Recipe, setting: Dispersion) -> float | None:
    """Return the operations of training one lane of a SiT to the recipe's end; None of a network that is not counted.

    REPA's projection and its encoder are left out, as are AdamW and the average.
    """
    if not isinstance(network, SiT):
        return None
    one, batch = pass_flops(network), recipe.train.batch
    step = step_flops(one, recipe.objective, batch) + dispersive_flops(setting, network.tap_shapes, batch)
    return float(recipe.train.steps * (step + second_view_flops(one, recipe)))


def sample_flops(network: PassFlops, evaluation: EvalRecipe, scale: float | None = None) -> float:
    """Return the operations of drawing one sample, at eval.cfg or another `scale` of guidance."""
    return evaluation.nfe * network.forward * evaluation.passes(evaluation.cfg if scale is None else scale)


def probe_flops(network: PassFlops, evaluation: EvalRecipe) -> float:
    """Return the operations of one linear probe's passes, at most; what it computes of tokens is left out."""
    return len(evaluation.probe_levels) * (PROBE_IMAGES + VALIDATION_IMAGES) * network.forward


def _added(network: PassFlops, objective: ObjectiveRecipe) -> int:
    if not isinstance(objective, MeanFlowRecipe):
        return 0
    without, conditional = objective.is_guided, objective.kappa != 0
    return network.tangent + (without + conditional) * network.forward
