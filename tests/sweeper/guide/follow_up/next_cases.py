"""Studies with what was found of them, from which the next study follows."""

from __future__ import annotations

from pathlib import Path

from sweeper.guide.follow_up.next_study import next_study
from sweeper.guide.schema.audits import SeedAudit
from sweeper.guide.schema.results import CellResult, Change, Cost, StageResult
from sweeper.guide.schema.statements import Claim, NextStudy, Recommendation, Standing
from sweeper.planning.cells import cells as planned_cells
from sweeper.records import Cell, Stage, StudyRecord, TrialState
from sweeper.render.next_study_yaml import next_yaml
from sweeper.study import Study
from sweeper.study.yaml_files import read_study
from tests.sweeper.guide.study_records import BASELINE, grid_cells, make_record, make_study, setting, trial

ABOVE, BELOW, AROUND = (Change(n=3, mean=m, low=m - 0.1, high=m + 0.1) for m in (0.3, -0.3, 0.01))
FRESH = tuple(range(100, 105))


class Case:
    """A study, what its screen saw of every setting, and what its fresh seeds say of some."""

    def __init__(self, study: Study, tried: list[Cell] | None = None, seen: Change | None = AROUND) -> None:
        self.study = study
        self.cells = tried or grid_cells(study)
        self.seen = dict.fromkeys((cell.key for cell in self.cells), seen)
        self.standings: dict[str, Standing] = {}
        self.saturated: set[str] = set()
        self.first = "baseline"
        self.members: tuple[str, ...] = ()
        self.needed: int | None = 12
        self.going = False
        self.screened: TrialState = "complete"

    def claims(self, *found: tuple[Cell, Standing]) -> Case:
        self.standings |= {cell.key: standing for cell, standing in found}
        self.members = ("baseline", *self.standings)
        return self

    @property
    def record(self) -> StudyRecord:
        seeds = self.study.screen.seeds
        rows = [trial(BASELINE, seed) for seed in seeds]
        rows += [trial(cell, seed, state=self.screened) for seed in seeds for cell in self.cells]
        if self.standings:
            tested = [cell for cell in self.cells if cell.key in self.standings]
            rows += [trial(cell, seed, stage="confirm") for seed in FRESH for cell in (BASELINE, *tested)]
        if self.going:
            rows.append(trial(self.cells[0], 9, None, state="running"))
        return make_record(self.study, rows)

    def stage(self, stage: Stage, tried: list[Cell], seeds: tuple[int, ...]) -> StageResult:
        def result(cell: Cell) -> CellResult:
            change = self.seen.get(cell.key)
            full = cell.key in self.saturated
            return CellResult(
                key=cell.key, cell=cell, states={"complete": 3}, n=3, mean=12.0, change=change, saturated=full
            )

        rows = tuple(map(result, tried))
        return StageResult(stage=stage, seeds=seeds, baseline=result(BASELINE), controls=(), cells=rows)

    def next(self) -> NextStudy | None:
        stages = [self.stage("screen", self.cells, self.study.screen.seeds)]
        named = {cell.key: cell for cell in self.cells}
        if self.standings:
            stages.append(self.stage("confirm", [named[key] for key in self.standings], FRESH))
        claims = tuple(
            Claim(key=key, label=named[key].label, metric="fid_10k", standing=one, direction="lower", change=AROUND)
            for key, one in self.standings.items()
        )
        chosen = Recommendation(members=self.members, first=self.first, why="bet", unique=False, stopped=0)
        audit = SeedAudit(margin=0.05, top=3, planned=5, difference_sd=0.1, needed=self.needed)
        spent = Cost(wall_s=900.0, states={}, train_s=1.0, eval_s=1.0, slots=2, other_s=None)
        return next_study(self.record, tuple(stages), claims, chosen, audit, spent)

    def written(self, folder: Path) -> tuple[NextStudy, Study]:
        found = self.next()
        assert found is not None
        return found, reread(found, folder)


def reread(found: NextStudy, folder: Path) -> Study:
    path = folder / found.file
    path.write_text(next_yaml(found), encoding="utf-8")
    return read_study(path)


def knobs(study: Study) -> set[tuple[object, ...]]:
    settings = [cell.dispersion for cell in planned_cells(study) if cell.role == "grid"]
    return {(one.blocks, one.lam, one.tau) for one in settings}


def study_with(**changes: object) -> Study:
    return make_study(**{"space": {"block": [0, 1], "lambda": [0.01, 0.1], "tau": [0.5, 1.0]}, **changes})


OPEN = setting((0,), 0.01, 0.5)
OTHER = setting((1,), 0.1, 1.0)


def saturate(case: Case, count: int) -> Case:
    case.saturated = {cell.key for cell in case.cells[:count]}
    return case
