"""The audits: does the proxy rank as the full metric, was the pruner right, do seeds suffice, is the best healthy?"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from sweeper.guide.analysis.fresh_looks import screen_prior
from sweeper.guide.analysis.geometric_means import geometric_mean
from sweeper.guide.analysis.stage_table import Evidence, Mask, Matrix, StageTable, number, spread
from sweeper.guide.schema.audits import Gate, HealthAudit, ProxyAudit, PruningAudit, Ranking, SeedAudit
from sweeper.guide.schema.results import CellHealth, CellResult
from sweeper.guide.schema.statements import Recommendation
from sweeper.records import BASELINE_KEY
from sweeper.statistics.effects import fit_effects, possibly_best
from sweeper.statistics.error_budget import INTERVAL_ALPHA, OBJECTIVE_ALPHA, SET_ALPHA
from sweeper.statistics.look_power import Plan, detectable_gain, needed_for, needed_in_looks
from sweeper.statistics.noise import hopeful_pairing
from sweeper.statistics.proportions import share_interval
from sweeper.statistics.rank_agreement import Agreement, rank_agreement
from sweeper.study import Confirm, Study
from sweeper.study.pruners import PRUNERS
from sweeper.text.numbers import counted, percent, share

AGREES = 0.8  # Spearman's rho over finalists' trials
KILLED = 0.1  # share of audited settings that may turn out to be among the best
GROWN = 2.0  # a feature norm so many times the baseline's
EFFECTS = (1.0, 2.0, 3.0)


def proxy_audit(known: Evidence) -> ProxyAudit:
    """Compare the finalists' ranking by the proxy with that by the full metric of the same weights."""
    fresh = known.stages.get("confirm")
    if not known.study.minimised.is_fid:
        return ProxyAudit(gate=Gate(says="the full metric is a FID, and this study judges by another metric"))
    full = _full_metric(known.study, fresh) if fresh else None
    if fresh is None or full is None:
        says = "no finalist has a full metric; set recipe.eval.full_samples and run the confirm stage"
        return ProxyAudit(gate=Gate(says=says))
    proxy_CS, full_CS = fresh.logs(), fresh.logs(full)
    both = np.isfinite(proxy_CS) & np.isfinite(full_CS)
    measured = [i for i in range(len(fresh.keys)) if both[i].any()]
    rows = tuple(
        (known.cells[fresh.keys[i]].label, _geometric(proxy_CS[i, both[i]]), _geometric(full_CS[i, both[i]]))
        for i in measured
    )
    sets = [_best(fresh, np.where(both, logs, np.nan), measured) for logs in (proxy_CS, full_CS)]
    arms = rank_agreement(*(_by_arm(logs, both, measured) for logs in (proxy_CS, full_CS)))
    trials = rank_agreement(proxy_CS[both].tolist(), full_CS[both].tolist())
    same = set(sets[0]) == set(sets[1])
    passed = None if trials is None else trials.rho >= AGREES and same
    agree = "not enough trials to tell" if trials is None else f"Spearman's rho {trials.rho:.2f} over trials"
    says = f"{agree}; the sets of possibly best arms {'are the same' if same else 'differ'}"
    return ProxyAudit(
        full=full,
        trials=_ranking(trials),
        arms=_ranking(arms),
        proxy_set=tuple(known.cells[key].label for key in sets[0]),
        full_set=tuple(known.cells[key].label for key in sets[1]),
        rows=rows,
        gate=Gate(passed=passed, says=says),
    )


def _by_arm(log_CS: Matrix, both_CS: Mask, measured: Sequence[int]) -> list[float]:
    return [float(log_CS[row, both_CS[row]].mean()) for row in measured]


def _full_metric(study: Study, fresh: StageTable) -> str | None:
    # The recipe does not decide this: `auto` depends on the device. So look for the metric's name in what was measured.
    head = "fid_"
    names = [name for name in fresh.metrics if name.startswith(head) and name.removeprefix(head)[:1].isdigit()]
    evaluation = study.recipe.eval
    others = (*(evaluation.recorded("fid", last) for last in (True, False)), evaluation.second_fid)
    return next((name for name in names if name not in others), None)


def _geometric(log_S: Matrix) -> float | None:
    average = geometric_mean(log_S)
    return average.mean if average else None


def _best(table: StageTable, logs: Matrix, rows: Sequence[int]) -> list[str]:
    effects = fit_effects(logs[rows]) if len(rows) > 1 else None
    kept = [True] * len(rows) if effects is None else possibly_best(effects, SET_ALPHA)
    return [table.keys[row] for row, keep in zip(rows, kept, strict=True) if keep]


def _ranking(agreement: Agreement | None) -> Ranking | None:
    return Ranking(**agreement._asdict()) if agreement else None


def pruning_audit(known: Evidence) -> PruningAudit:
    """Check, on settings randomly spared from pruning, whether the pruner would have stopped one of the best."""
    screen = known.stages.get("screen")
    if screen is None:
        return PruningAudit(gate=Gate(says="there is no screen"))
    return _stopped(known, screen).model_copy(update=_rungs(known.study, screen))


def _rungs(study: Study, screen: StageTable) -> dict[str, str | Ranking | None]:
    name = study.minimised.name(last=False)
    if name == study.minimised.name() or PRUNERS[study.screen.pruner].stops == "nothing":
        return {}
    few_CS, all_CS = screen.logs(name), screen.logs()
    both = np.isfinite(few_CS) & np.isfinite(all_CS)
    return {"rung": name, "ranking": _ranking(rank_agreement(few_CS[both].tolist(), all_CS[both].tolist()))}


def _stopped(known: Evidence, screen: StageTable) -> PruningAudit:
    audited = [key for key in screen.keys if screen.audited(key)]
    pruned = [key for key in screen.keys if "pruned" in screen.states(key)]
    total = len({*audited, *pruned})
    whole = [key for key in audited if "complete" in screen.states(key)]
    if not whole:
        why = "the pruner stopped nothing" if not total else "none of the stopped settings was chosen for the audit"
        if PRUNERS[known.study.screen.pruner].stops == "nothing":
            why = "this study has no pruner"
        elif audited:
            why = "the audited settings have not finished"
        return PruningAudit(pruned=total, audited=len(audited), gate=Gate(passed=None, says=why))
    rest = [key for key in screen.keys if known.cells[key].role != "control" and key not in pruned]
    measured = [screen.row[key] for key in rest if np.isfinite(screen.logs()[screen.row[key]]).any()]
    best = set(_best(screen, screen.logs(), measured))
    killed = [key for key in whole if key in best]
    low, high = share_interval(len(killed), len(whole))
    says = (
        f"of {counted(len(whole), 'audited setting')}, which the pruner would have stopped, {len(killed)} cannot be "
        "distinguished from the best at the end"
    )
    return PruningAudit(
        pruned=total,
        audited=len(whole),
        killed=len(killed),
        low=low,
        high=high,
        rows=tuple((known.cells[key].label, _geometric(screen.logs()[screen.row[key]]), key in best) for key in whole),
        gate=Gate(passed=len(killed) <= KILLED * len(whole), says=says),
    )


def seed_audit(known: Evidence) -> SeedAudit:
    """Measure the noise and how many seeds a gain needs; from the screen, from which the confirm stage is planned."""
    study, main = known.study, known.main
    confirm = study.confirm or Confirm()
    tested = _tested(known)
    alpha = OBJECTIVE_ALPHA / max(1, tested)
    pool = None
    if main is not None and BASELINE_KEY in main.row:
        rows = [main.row[key] for key in main.keys if known.cells[key].role == "grid"]
        pool = hopeful_pairing(main.logs()[rows], main.logs()[main.row[BASELINE_KEY]]) if rows else None
    sd = pool.difference_sd if pool else None
    planned = len(known.fresh_seeds) or confirm.seed_count
    looks = known.looks or (confirm.schedule if confirm.seeds == "auto" and not known.fresh_seeds else ())
    planning = ("planned" if study.confirm else "would be planned") + (" at most" if looks else "")
    sampling_sd, runs = _sampling(known)
    prior = screen_prior(known, known.objective)
    bad, plan = prior.bad if prior else None, Plan.under(prior, confirm.looks if looks else (), alpha)
    gain = -math.log1p(-confirm.margin)
    needed, once = (
        needed_for(gain, sd, plan._replace(looks=schedule), confirm.power) if sd is not None else None
        for schedule in (plan.looks, ())
    )
    sds = pool.sd_interval(INTERVAL_ALPHA) if pool else None
    fewest, most = (needed_for(gain, end, plan, confirm.power) for end in sds) if sds else (None, None)
    audit = SeedAudit(
        margin=confirm.margin,
        power=confirm.power,
        top=tested,
        planned=planned,
        planning=planning,
        baseline_sd=spread(main.logs()[main.row[BASELINE_KEY]])
        if main is not None and BASELINE_KEY in main.row
        else None,
        difference_sd=sd,
        difference_sd_interval=sds,
        cells=pool.cells if pool else 0,
        pairing=pool.correlation if pool else None,
        width_ratio=pool.width_ratio if pool else None,
        needed=needed,
        needed_fewest=fewest,
        needed_most=most,
        needed_once=once if looks else None,
        detectable=detectable_gain(planned, sd, plan, confirm.power) if sd is not None else None,
        sampling_sd=sampling_sd,
        sampling_runs=runs,
        looks=looks,
        skewness=prior.skewness if prior else None,
        bad_runs=bad.bad if bad else 0,
        bad_of=bad.runs if bad else 0,
        chosen=planned if confirm.seeds == "auto" and not looks and sd is not None else None,
        for_effects=tuple((effect, needed_in_looks(effect, plan, confirm.power)) for effect in EFFECTS)
        if sd is not None
        else (),
    )
    says = planning if planning.startswith("would") else f"are {planning}"
    return audit.model_copy(update={"gate": _seed_gate(audit, says)})


def _tested(known: Evidence) -> int:
    """How many settings the confirm stage tests, or would test if it has not begun."""
    fresh = known.stages.get("confirm")
    if fresh is not None:
        return sum(known.cells[key].role == "grid" for key in fresh.keys)
    marked = sum(cell.mark is not None for cell in known.cells.values())
    return (known.study.confirm or Confirm()).top + marked


def _seed_gate(audit: SeedAudit, planning: str) -> Gate:
    if audit.difference_sd is None:
        return Gate(says="too few seeds to plan by: no setting shares two with the baseline")
    says = f"a gain of {percent(audit.margin)} needs {audit.needed_words}; {audit.planned} {planning}"
    return Gate(passed=audit.needed is not None and audit.planned >= audit.needed, says=says)


def _sampling(known: Evidence) -> tuple[float | None, int]:
    """Estimate the spread of the log objective between samplings of one model, from pairs of samplings."""
    fresh = known.stages.get("confirm")
    if fresh is None or not known.study.minimised.is_fid:
        return None, 0
    pairs = fresh.logs() - fresh.logs(known.study.recipe.eval.second_fid)
    pairs = pairs[np.isfinite(pairs)]
    return (float(np.sqrt((pairs**2).mean() / 2)), len(pairs)) if len(pairs) else (None, 0)


def _one(flagged: Sequence[CellResult], ratios: Mapping[str, float | None]) -> str:
    if not flagged:
        return "the setting to use is not saturated and has not grown its features"
    setting = flagged[0]
    grown = ratios.get(setting.key) or 0.0
    faults = [f"is saturated ({share(setting.floor_share)} of steps at the floor)"] if setting.saturated else []
    faults += [f"has features of {grown:.2g} times the baseline's norm"] if grown >= GROWN else []
    return f"the setting to use {' and '.join(faults)}; its gain may come from that, so compare with tau relative"


def _several(flagged: Sequence[CellResult]) -> str:
    if not flagged:
        return "no setting that may be the best is saturated or has grown its features"
    return (
        f"{counted(len(flagged), 'setting')} that may be the best: saturated, or with features of {GROWN:g} or more "
        "times the baseline's norm"
    )


def health_audit(
    cells: Sequence[CellResult], health: Sequence[CellHealth], recommendation: Recommendation | None
) -> HealthAudit:
    """Flag the setting to use where it is saturated, or grew the feature norm instead of spreading directions.

    Where none is confirmed to help, every setting that may be the best is looked at.
    """
    saturated = sum(cell.saturated for cell in cells)
    if recommendation is None or not health:
        return HealthAudit(saturated=saturated, settings=len(cells), gate=Gate(says="nothing to recommend"))
    confirmed = recommendation.why == "confirmed"
    members: Collection[str] = (recommendation.first,) if confirmed else recommendation.members
    ratios = {cell.key: number(cell.norm_ratio) for cell in health}
    grown = {cell.key for cell in health if (number(cell.norm_ratio) or 0.0) >= GROWN}
    flagged = [cell for cell in cells if cell.key in members and (cell.saturated or cell.key in grown)]
    says = _one(flagged, ratios) if confirmed else _several(flagged)
    return HealthAudit(
        saturated=saturated,
        settings=len(cells),
        flagged=tuple(cell.cell.label for cell in flagged),
        gate=Gate(passed=not flagged, says=says),
    )
