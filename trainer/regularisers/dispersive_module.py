"""Dispersive Loss as a torch module, for anyone's training loop.

Shapes: B batch, N tokens, D width.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from trainer.backbones.protocol import TapShape
from trainer.recipe import Dispersion, Distance, Features, LocalBatch, TauUnits, Variant
from trainer.regularisers.floor import at_floor
from trainer.regularisers.formula import Formula

_KEYS = ("tau", "variant", "tau_units", "distance", "features", "local_batch")


class _Constants(NamedTuple):
    # The formula of a shape, its temperature, its floor and the span above that, on the batch's device.
    formula: Formula
    tau: Tensor
    floor: Tensor
    span: Tensor


class DispersiveLoss(nn.Module):
    """Dispersive Loss of a batch of representations (Wang & He 2025, arXiv:2506.09027), to be added to a loss.

    It says whether there is anything left to gain: at its floor it has no gradient, so that neither the block nor tau
    matters, and the same numbers are compared as in a study's trials.

        >>> from trainer import DispersiveLoss
        >>> disperse, lam = DispersiveLoss(tau=0.5), 0.25
        >>> hidden = torch.randn(16, 4, 8, requires_grad=True)  # of a block: samples, tokens, width
        >>> loss = hidden.square().mean() + lam * disperse(hidden)
        >>> loss.backward()
        >>> disperse.is_saturated, disperse.floor_share
        (False, 0.0)
        >>> _ = disperse(100 * hidden)
        >>> disperse.is_saturated, disperse.floor_share
        (True, 0.5)
    """

    def __init__(
        self,
        tau: float = 0.5,
        variant: Variant = "l2",
        *,
        tau_units: TauUnits = "absolute",
        distance: Distance = "mean",
        features: Features = "raw",
        local_batch: LocalBatch = "all",
    ) -> None:
        """Take the keys that a study has in `space`; raise ValueError (pydantic's) for values it would refuse."""
        super().__init__()
        self.setting = Dispersion(
            lam=1.0,
            tau=tau,
            variant=variant,
            tau_units=tau_units,
            distance=distance,
            features=features,
            local_batch=local_batch,
        )
        self._above: Tensor | None = None
        self._span = torch.zeros(())
        self._at_floor: Tensor | None = None  # stays on its device: reading it would wait for the device at every step
        self._calls = 0
        self._known: dict[tuple[TapShape, int, torch.device], _Constants] = {}

    def forward(self, hidden: Tensor) -> Tensor:
        """Return the loss of a batch, a number in float32 (float64 where `hidden` is in it).

        `hidden` is [B, D], [B, N, D] or, of a convolution, [B, D, height, width]. Raises ValueError for another shape,
        and where `local_batch` does not divide the batch. Of one sample the loss is 0.
        """
        tokens_BND = _tokens(hidden)
        batch, count, width = tokens_BND.shape
        if batch == 0:
            raise ValueError("there are no representations in the batch")
        known = self._constants(TapShape(count, width), batch, hidden.device)
        loss = known.formula.loss(known.formula.features_of(tokens_BND[None]), known.tau, None).squeeze(0)
        self._above, self._span = loss.detach() - known.floor, known.span
        if batch > 1:
            here = at_floor(self._above, self._span).double()
            self._at_floor = here if self._at_floor is None else self._at_floor.to(here.device) + here
            self._calls += 1
        return loss

    def reset(self) -> None:
        """Begin to count saturated batches anew."""
        self._at_floor, self._calls = None, 0

    def _constants(self, shape: TapShape, batch: int, device: torch.device) -> _Constants:
        """Return what depends on shapes alone: copying it at every step would wait for the device."""
        at = (shape, batch, device)
        if at not in self._known:
            formula = Formula.of(self.setting, shape, batch)
            tau = torch.tensor([self.setting.tau], dtype=torch.float64)
            floor, span = (bound.squeeze(0).to(device) for bound in formula.bounds(tau))
            self._known[at] = _Constants(formula, tau.to(device, torch.float32), floor, span)
        return self._known[at]

    @property
    def floor_distance(self) -> float:
        """How far above its floor the loss of the last batch was; NaN before the first."""
        return float("nan") if self._above is None else float(self._above)

    @property
    def is_saturated(self) -> bool:
        """Whether the last batch was at the floor: nearer than 1 % of the way down from equal representations."""
        return self._above is not None and bool((self._span > 0) & at_floor(self._above, self._span))

    @property
    def floor_share(self) -> float:
        """The share of batches so far that were saturated; NaN before the first."""
        return float("nan") if self._at_floor is None else float(self._at_floor) / self._calls

    def extra_repr(self) -> str:
        """Return the settings that differ from their defaults, for torch's own `repr`."""
        plain = Dispersion(lam=1.0)
        named = {name: getattr(self.setting, name) for name in _KEYS}
        said = {name: value for name, value in named.items() if name == "tau" or value != getattr(plain, name)}
        return ", ".join(f"{name}={value!r}" for name, value in said.items())


def _tokens(hidden: Tensor) -> Tensor:
    match hidden.dim():
        case 2:
            return hidden[:, None]
        case 3:
            return hidden
        case 4:
            return hidden.flatten(2).mT
        case _:
            raise ValueError(
                f"representations are [B, D], [B, N, D] or [B, D, height, width], not {list(hidden.shape)}"
            )
