"""The cards that a study can be estimated on, with their published specifications."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple, assert_never

from sweeper.errors import StudyError
from trainer.recipe.training import Precision

# The assumed share of a card's published peak in training and in sampling: 35 % is what transformers of this size
# reach in bf16 elsewhere; products in fp32 are so slow that the operations around them matter less.
UTILISATION: Mapping[Precision, float] = {"bf16": 0.35, "fp32": 0.6}


class Card(NamedTuple):
    """A card: bytes of its memory and its dense peak in operations a second, in bf16 and in plain fp32.

    The trainer does not round fp32 to TF32, and samples in fp32 whatever it trains in.
    """

    name: str
    memory: float
    bf16: float
    fp32: float
    source: str

    def peak(self, precision: Precision) -> float:
        """Return the operations a second that its maker publishes for a precision."""
        match precision:
            case "bf16":
                return self.bf16
            case "fp32":
                return self.fp32
            case _:
                assert_never(precision)

    def rate(self, precision: Precision) -> float:
        """Return the operations a second that we assume it reaches in a precision."""
        return UTILISATION[precision] * self.peak(precision)


CARDS: Mapping[str, Card] = {
    card.name.lower(): card
    for card in (
        Card("A100", 80e9, 312e12, 19.5e12, "NVIDIA A100 data sheet, SXM 80 GB"),
        Card("A100-40GB", 40e9, 312e12, 19.5e12, "NVIDIA A100 data sheet, SXM 40 GB"),
        Card("H100", 80e9, 989e12, 67e12, "NVIDIA H100 data sheet, SXM; its figures with sparsity halved"),
        Card("H200", 141e9, 989e12, 67e12, "NVIDIA H200 data sheet, SXM; its figures with sparsity halved"),
        Card("L40S", 48e9, 362e12, 91.6e12, "NVIDIA L40S data sheet; its figures with sparsity halved"),
    )
}


class Machine(NamedTuple):
    """A number of cards of one kind."""

    cards: int
    card: Card


def machine(written: str) -> Machine:
    """Parse a machine such as '8xH100'; raise StudyError for anything else, or for an unknown card."""
    found = re.fullmatch(r"([1-9]\d{0,5})x([\w-]+)", written, re.IGNORECASE)
    card = CARDS.get(found[2].lower()) if found else None
    if found is None or card is None:
        known = ", ".join(card.name for card in CARDS.values())
        raise StudyError(
            f"--on {written}: must be a number and a kind of card", f"write it as 8xH100; known are {known}"
        )
    return Machine(int(found[1]), card)
