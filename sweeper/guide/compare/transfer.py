"""Whether a confirmed effect of one study holds in another: settings are matched, and each study judges by itself.

A setting transfers only if each study's fresh seeds confirm it by themselves. If it truly has no effect in one of the
two, that study confirms it only with its own small chance, so the chance of a false transfer is no larger. Nothing is
pooled, and a missing confirmation is no evidence of a difference.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple, assert_never

from sweeper.guide.compare.schema import Arm, BlockMatch, Comparison, Difference, Match, Relation, TauMatch, Verdict
from sweeper.guide.schema.guide import Guide
from sweeper.guide.schema.results import Change, Item, Outcome
from sweeper.guide.schema.statements import Claim
from sweeper.records import Cell, Stage
from sweeper.study import block_name
from sweeper.study.knobs import BLOCK, DISTANCE, FEATURES, KNOBS, TAU, TAU_UNITS
from sweeper.text.numbers import INVERTED, counted
from trainer.recipe import VARIANTS, Dispersion, numbered, recorded_metric

# Protocol items on which the value of a FID depends.
MEASURED_BY = ("samples", "features", "reference", "solver", "guidance (CFG)")
# Two taus are alike in units of the median distance within a tenth: that distance is itself an estimate.
ALIKE = 0.1
# With the usual values of these, tau is in the units of a guide's distances: mean squared, of raw features.
AS_RECORDED = (TAU_UNITS, DISTANCE, FEATURES)
VERDICTS: tuple[Verdict | None, ...] = (
    "transfers",
    "reverses",
    "not shown to transfer",
    "hurts in both",
    "no gain to transfer",
    None,
)


class _Known(NamedTuple):
    # A setting of one study, and what is known of it there.
    setting: Dispersion
    arm: Arm


def transfer(a: Guide, b: Guide) -> Comparison:
    """Compare two studies by the settings they share, without using single trials."""
    relation = _relation(a, b)
    matches = tuple(_matches(a, b, relation))
    return Comparison(
        names=(a.name, b.name),
        scopes=(a.scope, b.scope),
        objectives=(a.objective, b.objective),
        relation=relation,
        headline=_headline(relation, matches) if _judge_alike(a, b) else _apart(a, b),
        transfers=any(matched.verdict == "transfers" for matched in matches),
        matches=matches,
        unmatched=(
            len(_keys(a) - {matched.a.key for matched in matches}),
            len(_keys(b) - {matched.b.key for matched in matches}),
        ),
        differences=tuple(_differences((*a.recipe, *a.protocol), (*b.recipe, *b.protocol))),
        incomparable=tuple(_incomparable(a, b)),
        baselines=(_baseline(a), _baseline(b)),
        distance=a.distance,
    )


def blocks_match(
    a: tuple[int, ...], taps_a: Sequence[str], b: tuple[int, ...], taps_b: Sequence[str]
) -> BlockMatch | None:
    """Return how two sets of blocks are the same place in models with these taps, or None.

    Taps with names are the same place where their names are. Others, with one depth, by index. Else block b of a
    shallow model is the block of a deep one that the fraction b / depth selects there, as in a study file, and the
    last block, which the fraction 1 selects, is the last block.
    """
    depth_a, depth_b = len(taps_a), len(taps_b)
    if len(a) == depth_a > 1 and len(b) == depth_b > 1:
        return "all"
    if not (_are_numbered(taps_a) and _are_numbered(taps_b)):
        return "name" if block_name(a, taps_a) == block_name(b, taps_b) else None
    if depth_a == depth_b:
        return "index" if a == b else None
    if depth_a > depth_b:
        a, depth_a, b, depth_b = b, depth_b, a, depth_a
    same = len(a) == len(b) and all(_same_share(x, depth_a, y, depth_b) for x, y in zip(a, b, strict=True))
    return "share of depth" if same else None


def _are_numbered(taps: Sequence[str]) -> bool:
    return tuple(taps) == numbered(len(taps))


def _same_share(shallow: int, depth: int, deep: int, deeper: int) -> bool:
    return deep == shallow * deeper // depth or (shallow == depth - 1 and deep == deeper - 1)


def _relation(a: Guide, b: Guide) -> Relation:
    if a.recipe_hash == b.recipe_hash:
        return "same recipe"
    alike = a.recipe == b.recipe and _value(a.provenance, "data hash") == _value(b.provenance, "data hash")
    return "same training" if alike else "different recipes"


def _matches(a: Guide, b: Guide, relation: Relation) -> list[Match]:
    by_bucket: dict[tuple[str, ...], list[_Known]] = defaultdict(list)
    for there in _settings(b):
        by_bucket[_bucket(there.setting)].append(there)
    found = []
    for here in _settings(a):
        for there in by_bucket[_bucket(here.setting)]:
            block = blocks_match(here.setting.blocks, a.places, there.setting.blocks, b.places)
            tau = _taus_match(here.arm, there.arm, relation)
            if block and tau:
                judged = relation == "different recipes" and _judge_alike(a, b)
                verdict = _verdict(here.arm, there.arm) if judged else None
                found.append(Match(a=here.arm, b=there.arm, block=block, tau=tau, verdict=verdict))
    # The order of a reader's interest; within it, that of study A.
    return sorted(
        found, key=lambda matched: (VERDICTS.index(matched.verdict), matched.a.standing is matched.b.standing is None)
    )


def _judge_alike(a: Guide, b: Guide) -> bool:
    """Whether both studies judge by one metric, of whatever number of samples."""
    found = [recorded_metric(guide.objective.removeprefix(INVERTED)) for guide in (a, b)]
    return a.objective == b.objective or (
        None not in found and len({recorded.metric for recorded in found if recorded}) == 1
    )


def _apart(a: Guide, b: Guide) -> str:
    return f"No transfer claim: A judges by {a.words(a.objective)} and B by {b.words(b.objective)}."


def _keys(guide: Guide) -> set[str]:
    return {result.key for stage in guide.stages for result in stage.cells}


def _bucket(setting: Dispersion) -> tuple[str, ...]:
    """Return the fields that must be equal in two studies: all but block and tau, which may match in proportion."""
    values = (knob.of(setting) for knob in KNOBS if knob not in (BLOCK, TAU))
    return tuple(f"{value:.6g}" if isinstance(value, float) else str(value) for value in values)


def _taus_match(a: Arm, b: Arm, relation: Relation) -> TauMatch | None:
    if a.tau is None or b.tau is None:
        return "none"
    if math.isclose(a.tau, b.tau, rel_tol=1e-6):
        return "tau"
    if relation != "different recipes" or a.tau_distances is None or b.tau_distances is None:
        return None
    pairs = zip(a.tau_distances, b.tau_distances, strict=False)
    return "median distance" if all(math.isclose(x, y, rel_tol=ALIKE) for x, y in pairs) else None


def _settings(guide: Guide) -> list[_Known]:
    """Every setting of a study once: with its claim, else its fresh seeds, else its screen."""
    results = {result.key: result for stage in guide.stages for result in stage.cells}
    seen = {
        result.key: (stage.stage, result.change) for stage in guide.stages for result in stage.cells if result.change
    }
    claims = {claim.key: claim for claim in guide.claims if claim.metric == guide.objective}
    return [
        _Known(result.cell.dispersion, _arm(guide, result.cell, claims.get(key), *seen.get(key, (None, None))))
        for key, result in results.items()
    ]


def _arm(guide: Guide, cell: Cell, claim: Claim | None, stage: Stage | None, change: Change | None) -> Arm:
    setting, taps = cell.dispersion, guide.places
    return Arm(
        key=cell.key,
        label=cell.label,
        block=_share(setting.blocks, taps),
        tau=setting.tau if setting.has_tau else None,
        tau_distances=_in_distances(guide, setting),
        standing=claim.standing if claim else None,
        stage="confirm" if claim and claim.change else stage,
        change=(claim.change if claim else None) or change,
    )


def _share(blocks: Sequence[int], taps: Sequence[str]) -> str:
    if not _are_numbered(taps) or len(blocks) == len(taps) > 1:
        return block_name(blocks, taps)
    return "+".join(f"{block}/{len(taps)}" for block in blocks)


def _in_distances(guide: Guide, setting: Dispersion) -> tuple[float, ...] | None:
    """Give tau in units of the baseline's median squared distance, for the variants whose tau is such a distance."""
    if not VARIANTS[setting.variant].has_distance or any(knob.of(setting) != knob.usual for knob in AS_RECORDED):
        return None
    known = [guide.distances[block] if block < len(guide.distances) else None for block in setting.blocks]
    found = tuple(setting.tau / one for one in known if one)
    return found if len(found) == len(known) else None


def _verdict(a: Arm, b: Arm) -> Verdict:
    both = {a.standing, b.standing}
    if both == {"confirmed helps"}:
        return "transfers"
    if both == {"confirmed helps", "confirmed hurts"}:
        return "reverses"
    if both == {"confirmed hurts"}:
        return "hurts in both"
    return "not shown to transfer" if "confirmed helps" in both else "no gain to transfer"


def _headline(relation: Relation, matches: tuple[Match, ...]) -> str:
    match relation:
        case "same recipe":
            return (
                "One recipe: nothing to transfer; only the fresh seeds that both have can tell which study found more."
            )
        case "same training":
            return "No transfer claim: both studies train the same, and only the measuring differs."
        case "different recipes":
            return _transferred(matches)
        case _:
            assert_never(relation)


def _transferred(matches: tuple[Match, ...]) -> str:
    if not matches:
        return (
            "No transfer claim: no setting is in both studies (the same variant and lambda; tau, and block, by itself "
            "or in proportion)."
        )
    found = [
        f"{text}: {_named(of)}"
        for verdict, text in (
            ("transfers", "Confirmed to help in each study by itself"),
            ("reverses", "Reverses, confirmed to help in one study and to hurt in the other"),
            ("not shown to transfer", "Not shown to transfer, confirmed to help in one study only"),
        )
        if (of := [matched for matched in matches if matched.verdict == verdict])
    ]
    if found:
        return ". ".join(found) + "."
    shared = counted(len(matches), "shared setting")
    return f"No gain to transfer: none of {shared} is confirmed to help in either study."


def _named(matches: list[Match]) -> str:
    names = "; ".join(
        matched.a.label if matched.a.label == matched.b.label else f"{matched.a.label} (in B {matched.b.label})"
        for matched in matches[:3]
    )
    return names + (f"; and {len(matches) - 3} more" if len(matches) > 3 else "")


def _differences(a: Iterable[Item], b: Iterable[Item]) -> list[Difference]:
    own, other = ({item.name: item.value for item in items} for items in (a, b))
    # How a study searches does not matter here; differences in training and measurement are shown.
    names = [name for name in dict.fromkeys([*own, *other]) if own.get(name) != other.get(name)]
    hidden = {"screen", "rungs", "pruner", "confirm"}
    return [
        Difference(name=name, a=own.get(name, "not stated"), b=other.get(name, "not stated"))
        for name in names
        if name not in hidden
    ]


def _incomparable(a: Guide, b: Guide) -> list[str]:
    names = [guide.words(guide.objective) for guide in (a, b)]
    differ = "are of different sample counts" if _judge_alike(a, b) else "are different metrics"
    reasons = [] if a.objective == b.objective else [f"{names[0]} and {names[1]} {differ}"]
    for name in MEASURED_BY:
        if _value(a.protocol, name) != _value(b.protocol, name):
            reasons.append(f"{name} differ" if name.endswith("s") else f"{name} differs")
    hashes = [_value(guide.provenance, "data hash") for guide in (a, b)]
    if hashes[0] != hashes[1] or hashes[0] in (None, "not recorded"):
        reasons.append("not known to be the same data")
    return reasons


def _value(items: Iterable[Item], name: str) -> str | None:
    return next((item.value for item in items if item.name == name), None)


def _baseline(guide: Guide) -> Outcome | None:
    stages = [stage.baseline for stage in reversed(guide.stages) if stage.baseline]
    result = next((base for base in stages if base.mean is not None), None)
    if result is None or result.mean is None:
        return None
    return Outcome(metric=guide.objective, mean=result.mean, sd=result.sd, n=result.n)
