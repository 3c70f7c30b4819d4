"""The comparison of two studies: which settings they share, which transfer, and which win on shared seeds."""

from __future__ import annotations

from typing import Literal

from sweeper.guide.schema.results import Change, Outcome
from sweeper.guide.schema.statements import Standing
from sweeper.records import Stage
from trainer.recipe import Frozen

Relation = Literal["same recipe", "same training", "different recipes"]
Verdict = Literal["transfers", "reverses", "hurts in both", "not shown to transfer", "no gain to transfer"]
BlockMatch = Literal["index", "share of depth", "name", "all"]
TauMatch = Literal["tau", "median distance", "none"]
Winner = Literal["a", "b", "equivalent", "open"]


class Arm(Frozen):
    """A setting in one study.

    `block` is written as a share of the depth ('1/4', '0/4+3/4', 'all'); `tau` is None where the variant has none;
    `tau_distances` is tau in units of the median pairwise distance after each of its blocks, None where that is not
    known or tau is relative already. `change` comes from `stage`; without a standing the fresh seeds claim nothing.
    """

    key: str
    label: str
    block: str
    tau: float | None
    tau_distances: tuple[float, ...] | None
    standing: Standing | None
    stage: Stage | None
    change: Change | None


class Match(Frozen):
    """A setting both studies have, how it was recognised, and what the two together say; None within one training."""

    a: Arm
    b: Arm
    block: BlockMatch
    tau: TauMatch
    verdict: Verdict | None


class Difference(Frozen):
    """Something in which the studies differ."""

    name: str
    a: str
    b: str


class Pair(Frozen):
    """A setting of A against one of B, each relative to its own baseline, on `change.n` shared fresh seeds.

    `change` is A relative to B; its interval holds together with those of all other pairs. `firsts`: both are what
    their study takes first.
    """

    a: str
    b: str
    firsts: bool
    change: Change
    winner: Winner


class HeadToHead(Frozen):
    """Two studies of one recipe on the fresh seeds both have; `reason` says why they could not be compared.

    `baseline_gap` is the largest relative difference of the two baselines on one seed: 0 where both are the same run.
    """

    headline: str
    reason: str = ""
    seeds: tuple[int, ...] = ()
    margin: float | None = None
    baseline_gap: float | None = None
    pairs: tuple[Pair, ...] = ()


class Comparison(Frozen):
    """All that is said of studies A and B; `scopes` say for what each speaks.

    `incomparable` are the reasons why figures of the two may not be compared; directions may.
    `unmatched` counts the settings that only one study has.
    """

    names: tuple[str, str]
    scopes: tuple[str, str]
    objectives: tuple[str, str]
    relation: Relation
    headline: str
    transfers: bool
    matches: tuple[Match, ...]
    unmatched: tuple[int, int]
    differences: tuple[Difference, ...]
    incomparable: tuple[str, ...]
    baselines: tuple[Outcome | None, Outcome | None]
    head_to_head: HeadToHead | None = None
    distance: str = "FID"  # what the objective is called through the extractor of both, where figures are comparable

    @property
    def comparable(self) -> bool:
        """Whether figures themselves, and not only directions, may be compared."""
        return not self.incomparable
