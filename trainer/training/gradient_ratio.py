"""How strong the Dispersive Loss is beside the objective: the ratio of their gradients' norms.

Shapes: K lanes, B batch
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from trainer.backbones.protocol import Network
from trainer.objectives.protocol import Objective
from trainer.recipe import Dispersion
from trainer.regularisers.dispersive_term import DispersiveTerm

GRADIENT_RATIO = "gradient_ratio"


def gradient_ratio(
    network: Network,
    objective: Objective,
    settings: Sequence[Dispersion],
    batch: tuple[Tensor, Tensor, Mapping[str, Tensor]],
) -> Tensor:
    """Return the norm of the weighted Dispersive Loss's gradient over that of the objective's loss, [K].

    Both are of all weights of the network and of one batch: images [K, B, C, H, W], labels [K, B] and draws. A weight
    that changes over time is at its peak. NaN for lanes without dispersion, and with a memory bank, whose
    entries are not available here.
    """
    images, labels, draws = batch
    unknown = torch.tensor([each.lam == 0 or each.bank is not None for each in settings], device=images.device)
    if bool(unknown.all()):
        return torch.full((len(settings),), torch.nan, device=images.device)
    known = [Dispersion() if is_unknown else each for each, is_unknown in zip(settings, unknown, strict=True)]
    with torch.enable_grad():
        leaves = {name: weight.detach().requires_grad_(True) for name, weight in network.weights.items()}
        term = DispersiveTerm(known, images.shape[1], network.backbone.tap_shapes, images.device)
        learning = objective.loss(Network(network.backbone, leaves), images, labels, draws, term.taps)
        added = term(learning.taps)
        assert added.term is not None  # some lane has dispersion
        weighted = (added.weight * added.term).sum()
        own = _norm(torch.autograd.grad(weighted, [*leaves.values()], retain_graph=True, allow_unused=True))
        other = _norm(torch.autograd.grad(learning.loss.sum(), [*leaves.values()], allow_unused=True))
    return torch.where(unknown, torch.nan, own / other)


def _norm(grads: Sequence[Tensor | None]) -> Tensor:
    squares = [grad.float().square().flatten(1).sum(1) for grad in grads if grad is not None]
    return torch.stack(squares).sum(0).sqrt()
