"""Compute a guide from a study's record alone, on any machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np

from sweeper.guide.analysis.audits import health_audit, proxy_audit, pruning_audit, seed_audit
from sweeper.guide.analysis.confirm_test import Claims, claims
from sweeper.guide.analysis.contrasts import changes
from sweeper.guide.analysis.curves import highlights, traces
from sweeper.guide.analysis.fresh_looks import fresh_order
from sweeper.guide.analysis.front import front
from sweeper.guide.analysis.geometric_means import own_and_baseline
from sweeper.guide.analysis.grid_pages import grid_pages
from sweeper.guide.analysis.guidance_curves import guidance_curves
from sweeper.guide.analysis.heuristics import Judged, heuristics
from sweeper.guide.analysis.knob_effects import interaction, knobs
from sweeper.guide.analysis.knob_pairs import in_family, knob_pairs, partners
from sweeper.guide.analysis.mixed_inputs import refuse_mixed
from sweeper.guide.analysis.outcomes import outcomes
from sweeper.guide.analysis.recommended_set import recommend
from sweeper.guide.analysis.representation_health import cell_health, distances, rank_correlations
from sweeper.guide.analysis.representation_probe import representation_probe
from sweeper.guide.analysis.settings_against_controls import against_controls
from sweeper.guide.analysis.stage_table import STAGES, Evidence, Matrix, StageTable, evidence
from sweeper.guide.analysis.worth_confirming import candidates
from sweeper.guide.follow_up.next_study import next_study
from sweeper.guide.schema.audits import SeedAudit
from sweeper.guide.schema.guide import Guide
from sweeper.guide.schema.results import CellHealth, CellResult, Change, StageResult
from sweeper.guide.wording.cost_and_provenance import ORDER, cost, provenance_items
from sweeper.guide.wording.experiment_protocol import protocol_items
from sweeper.guide.wording.findings import SATURATED, Findings, held_open, unstopped
from sweeper.guide.wording.front import with_front
from sweeper.guide.wording.heuristics import in_table
from sweeper.guide.wording.kept_models import kept_models
from sweeper.guide.wording.next_steps import next_steps
from sweeper.guide.wording.preliminary import preliminary
from sweeper.guide.wording.prior_art import prior_art
from sweeper.guide.wording.probe import probe_words
from sweeper.guide.wording.recipe_items import recipe_items
from sweeper.guide.wording.rules import rules
from sweeper.guide.wording.scope import scope
from sweeper.guide.wording.study_size import summary
from sweeper.guide.wording.verdict import verdict
from sweeper.records import BASELINE_KEY, StudyRecord


def assemble_guide(record: StudyRecord, *, surface: bool = True) -> Guide:
    """Work out everything a guide says about a study, finished or not.

    Without `surface` there is no heuristics table, no map and no traces: claims and the recommended set do not need
    them, and simulating thousands of studies takes half the time. Raises DataError for a record whose trials cannot be
    compared.

        >>> from pathlib import Path
        >>> record = StudyRecord.model_validate_json(Path("reports/null/record.json").read_bytes())
        >>> assemble_guide(record).verdict.headline
        'No evidence that any setting helps or hurts, on 6 fresh seeds.'
    """
    refuse_mixed(record)
    study, known = record.study, evidence(record)
    seeds = seed_audit(known)
    made = claims(known, seeds.planned)
    stages = _stages(known, made)
    main, table = stages[0], known.main
    pages = grid_pages(study, {result.key: result.cell for result in main.cells})
    on_grid = {key for page in pages for row in page.keys for key in row if key}
    health = cell_health(known, table) if table else ()
    findings = _findings(record, known, stages, on_grid, seeds, made, health, surface)
    facts = [trial.facts for trial in record.trials if trial.facts]
    recorded = {name for stage in known.stages.values() for name in stage.metrics}
    probe = representation_probe(known)
    spent, taps = cost(record, known), study.recipe.model.taps
    trades = front(known, made)
    return Guide(
        name=study.name,
        question=study.question,
        tuning=study.tuning,
        objective=study.minimised.name(),
        distance=study.recipe.eval.distance,
        rung_objective=study.minimised.name(last=False),
        scope=scope(record),
        depth=len(taps),
        taps=taps,
        recipe_hash=study.recipe.hash,
        verdict=with_front(verdict(findings), findings, trades),
        summary=summary(record, main, spent.states),
        recipe=recipe_items(study, facts),
        stages=stages,
        pages=pages,
        off_grid=tuple(result.key for result in main.cells if result.key not in on_grid),
        highlights=highlights(known, main, findings.lowest),
        health=health,
        distances=distances(table, len(taps)) if table else (),
        correlations=rank_correlations(
            health, {result.key: result.mean for result in main.cells if result.mean is not None}
        ),
        claims=findings.claims,
        side_claims=findings.side_claims,
        controls=findings.controls,
        recommendation=findings.recommendation,
        interaction=findings.interaction,
        pairs=findings.pairs,
        knobs=findings.knobs,
        seeds=findings.seeds,
        proxy=findings.proxy,
        pruning=findings.pruning,
        health_audit=findings.health,
        outcomes=outcomes(known, main),
        rules=rules(findings),
        prior_art=prior_art(main.cells, findings.claims, taps),
        next_steps=next_steps(findings),
        next_study=next_study(record, stages, findings.claims, findings.recommendation, findings.seeds, spent),
        cost=spent,
        protocol=protocol_items(
            study, facts, findings.seeds, recorded, [cell.dispersion for cell in known.cells.values()]
        ),
        provenance=provenance_items(record, facts),
        models=kept_models(record),
        guidance=guidance_curves(known),
        heuristics=findings.heuristics,
        probe=probe,
        probe_words=probe_words(probe) if probe else (),
        preliminary=preliminary(record, spent.states, made.finished),
        traces=traces(known, main) if surface else (),
        means="geometric",
        front=trades,
    )


def _findings(
    record: StudyRecord,
    known: Evidence,
    stages: tuple[StageResult, ...],
    on_grid: Collection[str],
    seeds: SeedAudit,
    made: Claims,
    health: Sequence[CellHealth],
    surface: bool,
) -> Findings:
    """Compute the findings that the verdict, the rules and the next steps use."""
    main = stages[0]
    saturated = {result.key for result in main.cells if result.saturated}
    pairs = knob_pairs(known, on_grid, saturated)
    tested = in_family(interaction(known, on_grid, saturated), pairs)
    alone = knobs(known, on_grid, saturated, tested)
    recommendation = recommend(known, made.settings)
    findings = Findings(
        record=record,
        known=known,
        main=main,
        fresh=stages[1] if len(stages) > 1 else None,
        lowest=_lowest(main),
        seeds=seeds,
        claims=made.settings,
        side_claims=made.beside,
        finished=made.finished,
        controls=against_controls(known, made),
        recommendation=recommendation,
        interaction=tested,
        pairs=pairs,
        knobs=tuple(effect.model_copy(update={"depends_on": partners(pairs, effect.name)}) for effect in alone),
        proxy=proxy_audit(known),
        pruning=pruning_audit(known),
        health=health_audit(main.cells, health, recommendation),
        worth_confirming=() if "confirm" in known.stages else candidates(known, main.cells, seeds.top, surface),
    )
    if not surface:
        return findings
    judged = Judged(saturated, on_grid, made.settings, held_open(findings))
    findings = findings._replace(heuristics=heuristics(known, judged))
    return findings._replace(heuristics=in_table(findings))


def _stages(known: Evidence, made: Claims) -> tuple[StageResult, ...]:
    found = tuple(_stage(known, known.stages[stage], made) for stage in STAGES if stage in known.stages)
    return found or (StageResult(stage="screen", seeds=(), baseline=None, controls=(), cells=()),)


def _stage(known: Evidence, table: StageTable, made: Claims) -> StageResult:
    # Intervals on fresh seeds hold together; a screen's are many, and each holds by itself.
    arms = sum(key != BASELINE_KEY for key in table.keys)
    change = changes(table, together=arms if table.stage == "confirm" else 1)
    judged_on: dict[str, Sequence[int]] = {}
    if table.stage == "confirm":
        claimed = [*made.settings, *(claim for claim in made.beside if claim.metric == known.objective)]
        change |= {claim.key: claim.change for claim in claimed if claim.change}
        # An arm may run on after its answer, for the comparison with a control: its figures are those of its answer.
        judged_on = {claim.key: fresh_order(known, table)[: claim.look] for claim in claimed if claim.look}
    results = [_cell_result(known, table, key, change.get(key), judged_on.get(key)) for key in table.keys]
    return StageResult(
        stage=table.stage,
        seeds=table.shared_seeds,
        baseline=next((result for result in results if result.key == BASELINE_KEY), None),
        controls=tuple(result for result in results if result.cell.role == "control"),
        cells=tuple(result for result in results if result.cell.role == "grid"),
    )


def _cell_result(
    known: Evidence, table: StageTable, key: str, change: Change | None, judged_on: Sequence[int] | None
) -> CellResult:
    row, states = table.row[key], Counter(table.states(key))
    own, against = own_and_baseline(table, key, judged_on)
    floor = table.furthest("floor_share")[row]
    pruned_at = table.step_cs[row][table.pruned_cs[row]]
    stopped = pruned_at[pruned_at > 0]
    return CellResult(
        key=key,
        cell=known.cells[key],
        states={state: states[state] for state in ORDER if states[state]},
        n=own.n if own else 0,
        mean=own.mean if own else None,
        sd=own.sd if own else None,
        stopped_at=int(stopped.max()) if len(stopped) else None,
        not_started=len(pruned_at) - len(stopped),
        floor_share=floor,
        saturated=floor is not None and floor > SATURATED,
        train_s=_fastest(table.scores("train_s")[row]),
        audited=table.audited(key),
        change=change,
        against=against,
    )


def _fastest(seconds: Matrix) -> float | None:
    # A mean would include the machine's other load and one-off costs of a process.
    known = seconds[np.isfinite(seconds)]
    return float(known.min()) if known.size else None


def _lowest(main: StageResult) -> CellResult | None:
    """The setting with the lowest mean, among those not stopped if there are any."""
    whole = [result for result in main.cells if result.mean is not None]
    return next(iter(unstopped(main.cells) or sorted(whole, key=lambda one: (one.mean or 0.0, one.key))), None)
