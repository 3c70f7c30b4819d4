"""The full metric of finalists: FID of many more samples, and of a second sampling as large as the proxy's."""

from __future__ import annotations

import copy
import math

from torch import Tensor

from trainer.evaluate import Evaluator
from trainer.fid import Moments
from trainer.recipe import fid_name


class FullTally:
    """The score of one model's samples as they go on past the proxy's; memory does not grow with their number.

    `proxy` are the moments of the samples so far, which are left as they are; `count` is the full metric's.
    """

    def __init__(self, evaluator: Evaluator, proxy: Moments, count: int) -> None:
        self._evaluator, self._count = evaluator, count
        self._all = copy.deepcopy(proxy)
        self._second = Moments(evaluator.extractor.dim, evaluator.device)
        self._finite = True

    def add(self, images_BCHW: Tensor) -> None:
        """Add samples in the order they were numbered; one that is not finite makes both metrics NaN."""
        features = self._evaluator.features(images_BCHW) if self._finite else None
        if features is None:
            self._finite = False
            return
        samples, done = self._evaluator.recipe.samples, self._all.count
        self._second.add(features[max(0, samples - done) : max(0, 2 * samples - done)])
        self._all.add(features)

    def metrics(self) -> dict[str, float]:
        """Return the full FID, e.g. 'fid_50k', and 'fid_10k_second': that of samples N to 2N - 1, where drawn.

        Their difference to the proxy's FID shows how it moves with the samples' number and with their seed. Raises
        ValueError unless exactly the full metric's finite samples were added.
        """
        recipe = self._evaluator.recipe
        parts = {fid_name(self._count): (self._all, self._count)}
        if self._count >= 2 * recipe.samples:
            parts[recipe.second_objective] = (self._second, recipe.samples)
        if not self._finite:
            return dict.fromkeys(parts, math.nan)
        return {name: self._evaluator.fid(moments, count) for name, (moments, count) in parts.items()}
