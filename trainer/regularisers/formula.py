"""One formula of the Dispersive Loss: the lanes and taps that share it can be computed as one batch.

Shapes: K pairs of a lane and a tap, B batch, N tokens, D width, E = N D
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from trainer.backbones.protocol import TapShape
from trainer.recipe import Dispersion, Distance, Features, TauUnits, Variant
from trainer.regularisers.dispersive import dispersive_loss, layer_normalised
from trainer.regularisers.floor import Bounds, Compared, bounds
from trainer.regularisers.memory_bank import Bank


class Formula(NamedTuple):
    """Representations of one shape, by one formula, over as many samples and as many earlier ones."""

    variant: Variant
    units: TauUnits
    distance: Distance
    features: Features
    shape: TapShape
    samples: int
    bank: int

    @classmethod
    def of(cls, setting: Dispersion, shape: TapShape, batch: int) -> Formula:
        """Return the formula of a setting; raise ValueError for a local batch that does not divide the batch."""
        samples = batch if setting.local_batch == "all" else setting.local_batch
        if batch % samples:
            raise ValueError(f"local_batch {samples} does not divide a batch of {batch}")
        bank = 0 if setting.negatives == "batch" else setting.negatives
        if setting.features == "raw":  # then the loss ignores tokens, and shapes of equal size can share a batch
            shape = TapShape(1, shape.elements)
        return cls(setting.variant, setting.tau_units, setting.distance, setting.features, shape, samples, bank)

    def features_of(self, tokens_KBND: Tensor) -> Tensor:
        """Return the features that the loss compares, [K, B, E]."""
        return (layer_normalised(tokens_KBND) if self.features == "layer_norm" else tokens_KBND).flatten(2)

    def loss(self, z_KBE: Tensor, tau_K: Tensor, bank: Bank | None) -> Tensor:
        """Return the loss [K]: where not all samples are compared, the mean over parts of the batch."""
        parts = z_KBE.shape[1] // self.samples
        if parts > 1:
            z_KBE = z_KBE.reshape(len(z_KBE) * parts, self.samples, -1)
            tau_K = tau_K.repeat_interleave(parts)
        loss = dispersive_loss(z_KBE, tau_K, self.variant, self.units, self.distance, bank)
        return loss.reshape(-1, parts).mean(1) if parts > 1 else loss

    def bounds(self, tau_K: Tensor, levels: Tensor | int = 0) -> Bounds:
        """Return the bounds of the loss, [K], or [K, F] where the bank has as many entries as `levels` [F]."""
        tokens, width = self.shape
        compared = Compared(self.samples, tokens, width, self.features, self.distance, levels)
        return bounds(tau_K if isinstance(levels, int) else tau_K[:, None], self.variant, self.units, compared)
