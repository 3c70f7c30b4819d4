"""Published results on Dispersive Loss, beside this study's results at the same settings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sweeper.guide.analysis.confirm_test import of
from sweeper.guide.schema.results import CellResult, PriorArt
from sweeper.guide.schema.statements import Claim
from sweeper.study import block_indices, block_name
from sweeper.study.knobs import KNOBS
from sweeper.text.numbers import change, counted
from trainer.recipe import Dispersion

SOURCE = "Wang & He 2025, arXiv:2506.09027, ImageNet 256 x 256, FID-50K; SiT-B/2, 80 epochs, no guidance unless said"
READINGS = (
    "Depth/4 has two readings. Counted from 1, as the authors' README counts (its last block is num_layers), it is "
    "index 2 of 12; counted from 0, as the printed ablation does (blocks 0, 6 and 11), index 3. Neither is certain"
)
NOT_RUN = "not run"
AUTHORS, SECOND_HAND, ELSEWHERE = "authors' repository", "second-hand", "another paper's table"


class Published(NamedTuple):
    """A published figure; `lams` and `taus` are what it ran, and `block` as this study would write it.

    With `is_counted` that block may be counted from 0 or from 1.
    """

    what: str
    figure: str
    grade: str
    lams: tuple[float, ...] = ()
    taus: tuple[float, ...] = ()
    block: float | None = None
    is_counted: bool = False

    def blocks(self, taps: Sequence[str]) -> dict[str, tuple[int, ...] | None]:
        """Return the blocks of each reading by its name: None for any blocks, and no name for the only reading."""
        if self.block is None:
            return {"": None}
        (index,) = block_indices(self.block, taps)
        if not self.is_counted or index == 0:
            return {"": (index,)}
        readings = enumerate((index, index - 1))
        return {f"counted from {first} (block {block_name((at,), taps)}): ": (at,) for first, at in readings}


PUBLISHED = (
    Published("paper's code: block depth/4, lambda 0.5, tau 0.5, batch 16 a device", "36.49 -> 32.35", AUTHORS,
              (0.5,), (0.5,), 0.25, True),
    Published("public PyTorch code: last block, lambda 0.25, tau 1, batch 32 a device", "36.49 -> 32.64", AUTHORS,
              (0.25,), (1.0,), 1.0),
    Published("lambda in {.25, .5, 1}, tau in {.25, .5, 1, 2}", "every cell below 36.49", SECOND_HAND,
              (0.25, 0.5, 1.0), (0.25, 0.5, 1.0, 2.0)),
    Published("block 0 / 6 / 11 / all of 12", "33.97 / 33.79 / 33.86 / 32.05", SECOND_HAND),
    Published("variants l2 / hinge / cosine / covariance", "32.35 / 33.93 / 34.33 / 35.82", SECOND_HAND),
    Published("SiT-XL/2, CFG 1.5: baseline / paper's code / PyTorch code", "6.02 / 5.09 / 4.74", AUTHORS),
    Published("SiT-XL/2, 80 epochs / 800 epochs", "18.46 -> 15.95 / 8.99 -> 8.08", SECOND_HAND),
    Published("MeanFlow-XL, 1 NFE", "3.43 -> 3.21", ELSEWHERE),
    Published("a flow policy, 3 seeds (follow-up work; success rate, higher is better)",
              "-2.2 points inside a spread of 6.3", ELSEWHERE),
)  # fmt: skip


def prior_art(results: Iterable[CellResult], claims: Sequence[Claim], taps: Sequence[str]) -> tuple[PriorArt, ...]:
    """Set each published figure beside this study's cells of the same setting: its claim, or else its screen."""
    settings = [result for result in results if result.cell.role == "grid"]
    return tuple(
        PriorArt(
            what=published.what,
            published=published.figure,
            grade=published.grade,
            here=_here(published, settings, claims, taps),
        )
        for published in PUBLISHED
    )


def _here(published: Published, results: list[CellResult], claims: Sequence[Claim], taps: Sequence[str]) -> str:
    if not published.lams:
        return "not compared"
    seen = {name: _at(published, blocks, results, claims) for name, blocks in published.blocks(taps).items()}
    return NOT_RUN if {*seen.values()} == {NOT_RUN} else "; ".join(f"{name}{here}" for name, here in seen.items())


def _at(
    published: Published, blocks: tuple[int, ...] | None, results: list[CellResult], claims: Sequence[Claim]
) -> str:
    same = [result for result in results if _matches(published, blocks, result.cell.dispersion)]
    if not same:
        return NOT_RUN
    if blocks is not None:
        return _outcome(same[0], of(claims, same[0].key))
    measured = [result.change for result in same if result.change]
    if not measured:
        return f"{counted(len(same), 'setting')} run, none compared with the baseline"
    lower = sum(effect.mean < 0 for effect in measured)
    return f"{counted(len(measured), 'setting')} measured, {lower} with a mean below the baseline's; no claim"


def _matches(published: Published, blocks: tuple[int, ...] | None, here: Dispersion) -> bool:
    return (
        all(knob.of(here) == knob.usual for knob in KNOBS if knob.usual is not None)
        and blocks in (None, here.blocks)
        and here.lam in published.lams
        and here.tau in published.taus
    )


def _outcome(result: CellResult, claim: Claim | None) -> str:
    if claim and claim.change:
        return f"{change(claim.change.mean, claim.change.low, claim.change.high)}, {claim.standing}"
    if result.change:
        return change(result.change.mean, result.change.low, result.change.high)
    if result.stopped_at:
        return f"stopped at {result.stopped_at}"
    return "not started" if result.not_started else "no figure"
