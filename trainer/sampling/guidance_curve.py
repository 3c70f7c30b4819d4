"""Lanes' samples at several scales of guidance, without training again: FID, precision and recall at each."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from trainer.backbones.protocol import Network
from trainer.evaluation.evaluator import Evaluator, Part
from trainer.evaluation.frechet import Moments
from trainer.evaluation.torch_fidelity import precision_recall
from trainer.objectives.protocol import Objective
from trainer.recipe.metrics import MANIFOLD
from trainer.sampling.samples import samples


@torch.no_grad()
def guidance_curve(
    network: Network, objective: Objective, evaluator: Evaluator, seeds: Sequence[int]
) -> list[dict[str, float]]:
    """Return each lane's metrics at every scale of the evaluator's `cfg_curve`, NaN for a lane that is not finite.

    All scales, and all lanes of a seed, are drawn from the same noise, so only the scale differs.
    """
    by_lane: list[dict[str, float]] = [{} for _ in seeds]
    for scale in evaluator.recipe.cfg_curve:
        for lane, metrics in enumerate(_at_scale(network, objective, evaluator, seeds, scale)):
            by_lane[lane] |= metrics
    return by_lane


def _at_scale(
    network: Network, objective: Objective, evaluator: Evaluator, seeds: Sequence[int], scale: float
) -> list[dict[str, float]]:
    recipe, count = evaluator.recipe, evaluator.recipe.curve_samples
    guided = recipe.model_copy(update={"cfg": scale})
    moments = Moments(len(seeds), evaluator.extractor.dim, evaluator.device)
    finite_K = torch.ones(len(seeds), dtype=torch.bool, device=evaluator.device)
    kept: list[Tensor] = []
    for start, images_KBCHW in samples(network, objective, guided, seeds, until=count):
        features, finite = evaluator.features(images_KBCHW)
        moments.add(features)
        finite_K &= finite
        kept.append(features[:, : max(0, MANIFOLD - start)].cpu())
    name, precision, recall = (recipe.at_scale(metric, scale) for metric in ("fid", "precision", "recall"))
    fids = evaluator.fids({name: Part(moments, count)}, finite_K)
    reference = evaluator.references.features  # none where a file of statistics holds no images
    both = [
        precision_recall(features, reference) if good and reference is not None else (float("nan"),) * 2
        for features, good in zip(torch.cat(kept, 1), finite_K.tolist(), strict=True)
    ]
    return [fid | {precision: p, recall: r} for fid, (p, r) in zip(fids, both, strict=True)]
