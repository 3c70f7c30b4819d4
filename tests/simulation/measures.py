"""What a guide got right and wrong, given the truth: figures of one study, which add up over studies.

A figure is a sum or a count: `bias` and `regret` are in units of SD and come with their squares (`bias_sq`), all others
are counts. What each is divided by is said in `tables.py`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from sweeper.guide.compare.schema import Match
from sweeper.guide.compare.transfer import transfer
from sweeper.guide.schema.guide import Guide
from sweeper.guide.schema.results import Change
from sweeper.guide.schema.statements import Claim, KnobLevel
from tests.simulation.ledgers import MARGIN, TAU, Design
from tests.simulation.worlds import BLOCKS, OUTCOMES, SD, TAUS, Scenario, World

Figures = Counter[str]


class Side(NamedTuple):
    """A simulated study: what is true, how it was planned, and what the guide says."""

    truth: World
    plan: Design
    guide: Guide


def measure(scenario: Scenario, side: Side) -> Figures:
    """Compare all that a guide says with what is true."""
    truth, plan, guide = side
    found = Figures(studies=1)
    found[f"verdict {guide.verdict.kind}"] = 1
    found["false helps"] = int(guide.verdict.kind.startswith("helps") and not (truth.choices < 0).any())
    found.update(_claims(truth, plan, guide))
    found.update(_intervals(truth, plan, guide))
    if scenario.surface in ("null", "additive"):
        knobs = [knob for knob in guide.knobs if knob.name in ("block", "tau")]
        covered = sum(_knob_covered(truth, knob.name, knob.levels) for knob in knobs)
        found.update({"knobs": len(knobs), "knobs covered": covered})
    found.update(_gains(truth, plan, guide.claims))
    found.update(_control_found(scenario, truth, plan, guide))
    if guide.confirm:
        arms = [one for one in (guide.confirm.baseline, *guide.confirm.cells) if one]
        found["fresh trials"] = sum(sum(one.states.values()) for one in arms)
    found.update(_recommended(truth, plan, guide))
    if scenario.surface.startswith("one-better"):
        better = plan.keys[int(np.argmin(truth.effect_C))]
        found["power"] = int(any(one.key == better and one.standing == "confirmed helps" for one in guide.claims))
    return found


def measure_transfer(a: Side, b: Side) -> Figures:
    """Compare what is said to hold on both scales with what is true on each."""
    matches = transfer(a.guide, b.guide).matches
    assert len(matches) == len(a.guide.main.cells)
    false = any(
        is_false_transfer(
            match, a.truth.effect_C[a.plan.place[match.a.key]], b.truth.effect_C[b.plan.place[match.b.key]]
        )
        for match in matches
    )
    return Figures(
        {
            "pairs": 1,
            "transfer": int(any(match.verdict == "transfers" for match in matches)),
            "false transfer": int(false),
        }
    )


def is_false_transfer(match: Match, effect_a: float, effect_b: float) -> bool:
    """Whether a claim about a setting in two studies is wrong in either."""
    if match.verdict == "transfers":
        return effect_a >= 0 or effect_b >= 0
    if match.verdict == "hurts in both":
        return effect_a <= 0 or effect_b <= 0
    return match.verdict == "reverses" and effect_a * effect_b >= 0


def true_effect(truth: World, plan: Design, claim: Claim) -> float:
    """Return the true log ratio that a claim is about."""
    c = plan.place[claim.key]
    if claim.metric in OUTCOMES:
        return float(truth.side_MC[list(OUTCOMES).index(claim.metric), c])
    assert claim.metric == "fid_10k"
    return float(truth.effect_C[c])


def is_false(claim: Claim, effect: float) -> bool:
    """Whether a confirmed claim is wrong: nothing moves, or the other way, or its words say the other direction."""
    if not claim.confirmed:
        return False
    lower_is_better = claim.metric in ("fid_10k", "val_loss")
    helps = claim.standing == "confirmed helps"
    says = "lower" if helps == lower_is_better else "higher"
    return claim.direction != says or (effect >= 0 if says == "lower" else effect <= 0)


def _claims(truth: World, plan: Design, guide: Guide) -> Figures:
    made = [(claim, true_effect(truth, plan, claim)) for claim in (*guide.claims, *guide.side_claims)]
    objective = made[: len(guide.claims)]
    equivalent = [(claim, effect) for claim, effect in made if claim.standing == "equivalent" or claim.within_margin]
    return Figures(
        {
            "confirmed": sum(claim.confirmed for claim, _ in made),
            "false confirmed": int(any(is_false(claim, effect) for claim, effect in made)),
            "false confirmed objective": int(any(is_false(claim, effect) for claim, effect in objective)),
            "equivalent": len(equivalent),
            "false equivalent": int(any(abs(effect) >= math.log1p(MARGIN) for _, effect in equivalent)),
            "false better than control": int(any(_false_rank(truth, plan, guide))),
        }
    )


def _control_found(scenario: Scenario, truth: World, plan: Design, guide: Guide) -> Figures:
    """Say whether a control that helps is confirmed to, and the one setting that gains 3 sd to be better than it."""
    found, key = Figures(), plan.keys[-1]
    if truth.effect_C[-1] < 0:
        helps = [one.standing == "confirmed helps" for one in guide.side_claims if one.key == key]
        found["control found"] = int(any(helps))
    if scenario.surface == "one-better-3":
        found["better found"] = int(any(one.better for one in guide.controls))
    return found


def _false_rank(truth: World, plan: Design, guide: Guide) -> Iterator[bool]:
    """Say of every comparison with a control whether it calls a setting better that is not."""
    for one in guide.controls:
        yield one.better and truth.effect_C[_place(plan, one.setting)] >= truth.effect_C[_place(plan, one.control)]


def _place(plan: Design, label: str) -> int:
    return [cell.label for cell in plan.cells].index(label)


def _intervals(truth: World, plan: Design, guide: Guide) -> Figures:
    found = Figures()
    every = [
        (claim, covers(claim.change, true_effect(truth, plan, claim)))
        for claim in (*guide.claims, *guide.side_claims)
        if claim.change and claim.change.low is not None
    ]
    found["intervals"], found["intervals covered"] = len(every), sum(hit for _, hit in every)
    objective = [hit for claim, hit in every if claim.metric == guide.objective]
    settings = [hit for claim, hit in every if claim in guide.claims]
    for name, hits in (
        ("tables", objective),
        ("settings tables", settings),
        ("claimed studies", [hit for _, hit in every]),
    ):
        found[name], found[f"{name} covered"] = int(bool(hits)), int(bool(hits) and all(hits))
    screened = [
        covers(one.change, truth.effect_C[plan.place[one.key]])
        for one in guide.main.cells
        if one.change and one.change.low is not None
    ]
    found["screen intervals"], found["screen intervals covered"] = len(screened), sum(screened)
    found["interaction tested"] = int(guide.interaction.p is not None)
    found["interaction rejected"] = int(guide.interaction.rejects)
    return found


def covers(change: Change, effect: float) -> bool:
    """Whether an interval holds the true log ratio."""
    assert change.low is not None
    assert change.high is not None
    # Two wildly different seeds give a lower end of -100 %.
    low = math.log1p(change.low) if change.low > -1 else -math.inf
    return bool(low <= effect <= math.log1p(change.high))


def _knob_covered(truth: World, name: str, levels: Iterable[KnobLevel]) -> bool:
    """Whether all intervals of a knob's levels hold, each against the level that the guide found lowest."""
    grid = truth.effect_C[1:-1].reshape(BLOCKS, TAUS)
    level_L = grid.mean(axis=1 if name == "block" else 0)
    told = [(one.change, _level(name, one.level), one.reach == "lowest") for one in levels]
    lowest = next(place for _, place, is_lowest in told if is_lowest)
    return all(covers(change, level_L[at] - level_L[lowest]) for change, at, is_lowest in told if not is_lowest)


def _level(name: str, said: str) -> int:
    return int(said.removeprefix("block ")) if name == "block" else TAU.index(float(said))


def _gains(truth: World, plan: Design, claims: Sequence[Claim]) -> Figures:
    """Error of printed gains in units of SD: a study's mean, over all arms and over those confirmed to help."""
    found = Figures()
    for name, chosen in (("", claims), ("confirmed ", [one for one in claims if one.standing == "confirmed helps"])):
        errors = [
            (math.log1p(one.change.mean) - true_effect(truth, plan, one)) / SD for one in chosen if one.change
        ]  # fmt: skip
        if errors:
            mean = sum(errors) / len(errors)
            found.update({f"{name}gains": 1, f"{name}bias": mean, f"{name}bias_sq": mean**2})
    return found


def _recommended(truth: World, plan: Design, guide: Guide) -> Figures:
    advice, effect = guide.recommendation, truth.choices
    if advice is None:
        return Figures({"no recommendation": 1})
    best = {plan.keys[c] for c in np.flatnonzero(effect <= effect.min())}
    regret = float(effect[plan.place[advice.first]] - effect.min()) / SD
    right = advice.unique and set(advice.members) == best
    return Figures(
        {
            "recommendations": 1,
            "best inside": int(bool(best & set(advice.members))),
            "members": len(advice.members),
            "unique": int(advice.unique),
            "wrong unique": int(advice.unique and not right),
            "regret": regret,
            "regret_sq": regret**2,
            f"first {advice.why}": 1,
        }
    )
