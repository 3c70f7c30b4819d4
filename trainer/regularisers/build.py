"""From a recipe and its lanes' settings to the regulariser of their cohort."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import assert_never

import torch

from trainer.backbones.protocol import Backbone
from trainer.recipe import ActivationNorm, Contrastive, Dispersion, Lane, Repa, TrainRecipe
from trainer.recipe.blocks import block_index
from trainer.regularisers.activation_norm import ActivationNormTerm
from trainer.regularisers.contrastive import ContrastiveTerm
from trainer.regularisers.dispersive_term import DispersiveTerm
from trainer.regularisers.protocol import Regulariser
from trainer.regularisers.repa import RepaTerm, Targets
from trainer.regularisers.sum import Sum

DISPERSIVE = "dispersive"


def regulariser_of(
    lanes: Sequence[Lane],
    train: TrainRecipe,
    backbone: Backbone,
    targets: Callable[[], Targets],
    device: torch.device,
) -> Regulariser:
    """Return the regulariser of at least one lane; `targets` makes REPA's frozen encoder, where there is REPA.

    Raises ValueError for a block that the model does not have.
    """
    dispersive = _dispersive([lane.setting for lane in lanes], train.batch, backbone, device)
    terms: dict[str, Regulariser] = {}
    for name, loss in train.auxiliary_losses.items():
        tap, lam_K = block_index(loss.block, backbone.taps), torch.full((len(lanes),), loss.lam, device=device)
        match loss:
            case Repa():
                seeds_K = [lane.seed for lane in lanes]
                terms[name] = RepaTerm(loss, tap, lam_K, backbone, targets(), seeds_K)
            case Contrastive():
                terms[name] = ContrastiveTerm(loss, tap, lam_K)
            case ActivationNorm():
                terms[name] = ActivationNormTerm(tap, lam_K)
            case _:
                assert_never(loss)
    # The Dispersive Loss last, so that the others' initial weights are the same as without it.
    return Sum({**terms, DISPERSIVE: dispersive}) if terms else dispersive


def dispersive_names(regulariser: Regulariser) -> frozenset[str]:
    """Return the names of values that only the Dispersive Loss records and counts; a lane without it has none."""
    term = regulariser.terms[DISPERSIVE] if isinstance(regulariser, Sum) else regulariser
    return frozenset({*term.recorded, *term.counted})


def _dispersive(settings: Sequence[Dispersion], batch: int, backbone: Backbone, device: torch.device) -> DispersiveTerm:
    last = len(backbone.taps) - 1
    for setting in settings:
        if max(setting.blocks) > last:
            raise ValueError(f"blocks {setting.blocks}: the model has blocks 0 to {last}")
    return DispersiveTerm(settings, batch, backbone.tap_shapes, device)
