"""What a guide says about several objectives: one sentence beside the verdict, and their names."""

from __future__ import annotations

from sweeper.guide.schema.front import Front, FrontRow
from sweeper.guide.schema.statements import MOST_POINTS, Verdict
from sweeper.guide.wording.findings import Findings, listed
from sweeper.records import BASELINE_KEY
from sweeper.study.second_objectives import objective_name


def with_front(verdict: Verdict, findings: Findings, front: Front | None) -> Verdict:
    """Add a sentence on several objectives to a verdict: before the last of its points if there is room."""
    said = _sentence(findings, front) if front else ""
    if not said:
        return verdict
    if len(verdict.points) < MOST_POINTS:
        return verdict.model_copy(update={"points": (*verdict.points[:-1], said, *verdict.points[-1:])})
    return verdict.model_copy(update={"notes": (said, *verdict.notes)})


def _sentence(findings: Findings, front: Front) -> str:
    """Name the front if it has more than one member; '' for one that says no more than the objective does."""
    free = [row for row in front.judged if row.free]
    if len(free) < 2:
        return ""
    distance = findings.record.study.recipe.eval.distance
    *first, last = (objective_name(front_objective.metric, distance) for front_objective in front.objectives)
    names = f"{', '.join(first)} and {last}"
    where = "on fresh seeds" if free[0].stage == "confirm" else "in the screen, which claims nothing"
    members = listed(_name(findings, row) for row in free)
    return f"Between {names}, no arm beats these in everything by its means {where}: {members}{_sure(findings, front)}."


def _sure(findings: Findings, front: Front) -> str:
    better = [_name(findings, row) for row in front.judged if row.sure == "better"]
    worse = [_name(findings, row) for row in front.judged if row.sure == "dominated"]
    said = f"; confirmed better than lambda 0 in one, and in none confirmed worse: {listed(better)}" if better else ""
    return said + (f"; dominated by lambda 0, by claims: {listed(worse)}" if worse else "")


def _name(findings: Findings, row: FrontRow) -> str:
    if findings.known.cells[row.key].role == "control":
        return f"the {findings.arm(row.label)}"
    return "lambda 0" if row.key == BASELINE_KEY else findings.label(row.key)
