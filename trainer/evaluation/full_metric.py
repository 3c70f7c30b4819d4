"""The full metric of finalists: FID of many more samples, and of a second sampling as large as the proxy's."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from trainer.evaluation.evaluator import Evaluator, Part
from trainer.evaluation.frechet import Moments
from trainer.recipe import fid_name


class FullTally:
    """The scores of K lanes' samples beyond the proxy's; memory does not grow with their number.

    `proxy` are the moments of the samples so far, which stay unchanged; `count` is the full metric's sample count.
    """

    def __init__(self, evaluator: Evaluator, proxy: Moments, count: int) -> None:
        self._evaluator, self._count = evaluator, count
        lanes = len(proxy.mean)
        self._all = copy.deepcopy(proxy)
        self._second = Moments(lanes, evaluator.extractor.dim, evaluator.device)
        self._finite_K = torch.ones(lanes, dtype=torch.bool, device=evaluator.device)

    @torch.no_grad()
    def add(self, images_KBCHW: Tensor) -> None:
        """Add samples in the order they were numbered; one that is not finite makes both its lane's metrics NaN."""
        features, finite_K = self._evaluator.features(images_KBCHW)
        self._finite_K &= finite_K
        samples, done = self._evaluator.recipe.samples, self._all.count
        self._second.add(features[:, max(0, samples - done) : max(0, 2 * samples - done)])
        self._all.add(features)

    def metrics(self) -> list[dict[str, float]]:
        """Return each lane's full FID, e.g. 'fid_50k', and 'fid_10k_second': that of samples N to 2N - 1, where drawn.

        Their difference to the proxy's FID shows how it moves with the samples' number and with their seed. Raises
        ValueError unless exactly the full metric's samples were added.
        """
        recipe = self._evaluator.recipe
        parts = {fid_name(self._count): Part(self._all, self._count)}
        if self._count >= 2 * recipe.samples:
            parts[recipe.second_fid] = Part(self._second, recipe.samples)
        return self._evaluator.fids(parts, self._finite_K)
