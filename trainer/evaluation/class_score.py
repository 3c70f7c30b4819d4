"""The Inception score (Salimans et al. 2016, arXiv:1606.03498), from running sums of a classifier's outputs.

Shapes: K lanes, B batch, C classes, S splits
"""

from __future__ import annotations

import torch
from torch import Tensor


class ClassTotals:
    """Sums of K lanes' class probabilities over splits of their samples; memory does not grow with their number.

    torch-fidelity's formula and splits, without its shuffle: our samples' labels take turns, so every split has all
    classes equally often, and ADM's evaluator does not shuffle either.
    """

    def __init__(self, count: int, splits: int) -> None:
        """`count` is how many samples each lane will have."""
        splits = min(splits, count)
        self._ends = torch.tensor([(split + 1) * count // splits for split in range(splits)])
        self._probabilities: Tensor | None = None
        self._negative_entropies: Tensor | None = None

    def observe(self, first: int, logits_KBC: Tensor) -> None:
        """Add the samples from number `first` on."""
        lanes, batch, classes = logits_KBC.shape
        log_p = logits_KBC.double().log_softmax(2)
        p = log_p.exp()
        if self._probabilities is None or self._negative_entropies is None:
            self._probabilities = p.new_zeros(lanes, len(self._ends), classes)
            self._negative_entropies = p.new_zeros(lanes, len(self._ends))
        split_B = torch.bucketize(torch.arange(first, first + batch), self._ends, right=True).to(p.device)
        self._probabilities.index_add_(1, split_B, p)
        self._negative_entropies.index_add_(1, split_B, (p * log_p).sum(2))

    def scores(self) -> list[float]:
        """Return each lane's score: exp of the mean divergence of p(class | sample) from p(class), mean over splits."""
        assert self._probabilities is not None
        assert self._negative_entropies is not None
        sizes_S = torch.diff(self._ends, prepend=torch.zeros(1, dtype=torch.long)).to(self._probabilities.device)
        marginal_KSC = self._probabilities / sizes_S[:, None]
        divergence_KS = self._negative_entropies / sizes_S + torch.special.entr(marginal_KSC).sum(2)
        scores: list[float] = divergence_KS.exp().mean(1).tolist()
        return scores
