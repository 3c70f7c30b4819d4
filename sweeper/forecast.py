"""What a study will run and how long that takes here, before it is run."""

from __future__ import annotations

from typing import NamedTuple

import torch

from sweeper.calibrate import calibrate
from sweeper.fit import check_fit
from sweeper.plan import estimate, rung_steps, size
from sweeper.progress import duration
from sweeper.provenance import usable_cores
from sweeper.study import Study


class Forecast(NamedTuple):
    """Counts of the plan, what a trial costs on this machine, and the longest a study takes."""

    study: str
    cells: int
    seeds: int
    trials: int
    confirm_trials: int
    lanes: int
    cohorts: int
    slots: int
    seconds_per_step: float
    seconds_per_evaluation: float
    seconds: float


def forecast(study: Study) -> Forecast:
    """Plan and calibrate a study on this machine. Raises DataError or StudyError where data and model do not fit."""
    check_fit(study)
    cost = calibrate(study)
    planned = size(study, cost.lanes)
    slots = study.resources.slots or _slots(study)
    full = study.recipe.eval.full_count("cuda" if study.resources.gpus else "cpu")
    return Forecast(
        study=study.name,
        cells=planned.cells,
        seeds=planned.seeds,
        trials=planned.trials,
        confirm_trials=planned.confirm_trials,
        lanes=planned.lanes,
        cohorts=planned.cohorts,
        slots=slots,
        seconds_per_step=round(cost.per_step, 5),
        seconds_per_evaluation=round(cost.per_evaluation, 2),
        seconds=round(estimate(study, cost.per_step, cost.per_evaluation, slots, full), 1),
    )


def _slots(study: Study) -> int:
    fit = max(1, usable_cores() // study.resources.cpus)
    return min(fit, max(1, int(torch.cuda.device_count() / study.resources.gpus))) if study.resources.gpus else fit


def _cheaper(study: Study) -> str:
    evaluation = study.recipe.eval
    share = evaluation.samples_at(last=False) / evaluation.samples
    return f", before the last step {100 * share:.3g} % of that" if share < 1 else ""


def describe(study: Study, made: Forecast) -> str:
    """Say what a forecast measured, and how long it makes the study; what is run, `plan.announce` says."""
    steps = ", ".join(map(str, rung_steps(study, study.recipe)))
    lanes = "1 trial" if made.lanes == 1 else f"{made.lanes} trials"
    return "\n".join(
        [
            f"measured at steps {steps}; a step takes {1000 * made.seconds_per_step:.3g} ms,"
            f" an evaluation {made.seconds_per_evaluation:.3g} s{_cheaper(study)}",
            f"at most {duration(made.seconds)} (less what the pruner saves), in {made.cohorts} cohorts of {lanes},"
            f" {made.slots} at once",
        ]
    )
