"""`sweeper plan`: what a study will run, and how long that takes on this machine."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch

from sweeper.calibration.calibrate import calibrate, slower_arms
from sweeper.calibration.compiled_sampling import candidates
from sweeper.calibration.preflight import check_fit
from sweeper.planning.size import estimate, size
from sweeper.planning.trials import keeps_weights, rung_steps
from sweeper.provenance import usable_cores
from sweeper.study import Study
from sweeper.study.sampling import Sampling
from sweeper.text.numbers import duration
from trainer.sampling.kept_model import kept_size

# Start of Ray, its workers, the stores and the guide (20 s on two idle cores); the domain extractor, trained once; from
# one trial to the next; features, FID and whatever slots take from each other, beside the steps and samples timed.
START_UP_S, EXTRACTOR_S, BETWEEN_S, BESIDE = 40.0, 60.0, 1.0, 1.4


class Forecast(NamedTuple):
    """Counts of the plan, what a trial costs on this machine, and the longest a study takes.

    `kept` trials at most leave their weights behind, `kept_bytes` together. Of several ways of `sampling` the run takes
    the fastest; what an evaluation takes is of eager code.
    """

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
    kept: int
    kept_bytes: int
    extrapolated: bool
    seconds_per_probe: float = 0.0
    sampling: tuple[Sampling, ...] = ("eager fp32",)


def forecast(study: Study) -> Forecast:
    """Plan and calibrate a study on this machine. Raises DataError or StudyError where data and model do not fit."""
    model = check_fit(study).model
    cost = calibrate(study)
    planned = size(study, cost.lanes)
    slots = study.resources.slots or _slots(study)
    kept = (planned.trials if keeps_weights(study, "screen") else 0) + (
        planned.confirm_trials if keeps_weights(study, "confirm") else 0
    )
    full = study.recipe.eval.full_count("cuda" if study.resources.gpus else "cpu")
    slower = slower_arms(study, cost)
    trained = estimate(study, cost.per_step, cost.per_evaluation, slots, full, slower, cost.per_probe)
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
        seconds=round(at_most(study, trained, slots), 1),
        extrapolated=cost.extrapolated,
        seconds_per_probe=round(cost.per_probe, 2),
        kept=kept,
        kept_bytes=kept * kept_size(model),
        sampling=candidates(study, slots),
    )


def at_most(study: Study, trained: float, slots: int) -> float:
    """Add a run's overheads to the seconds of steps and samples, generously, for an upper limit."""
    planned = size(study)
    between = math.ceil((planned.trials + planned.confirm_trials) / slots) * BETWEEN_S
    extractor = EXTRACTOR_S if study.recipe.eval.extractor == "domain" else 0.0
    return START_UP_S + extractor + between + BESIDE * trained


def _slots(study: Study) -> int:
    fit = max(1, usable_cores() // study.resources.cpus)
    return min(fit, max(1, int(torch.cuda.device_count() / study.resources.gpus))) if study.resources.gpus else fit


def _cheaper(study: Study) -> str:
    share = study.minimised.early_share
    return f", before the last step {100 * share:.3g} % of that" if share < 1 else ""


def _kept(study: Study, made: Forecast) -> str:
    if made.kept:
        return f"keeps the weights of at most {made.kept} trials (keep: {study.keep}), {_volume(made.kept_bytes)}"
    why = "" if study.keep == "none" else ": finalists are known from a confirm stage on, and there is none"
    return f"keeps no weights (keep: {study.keep}{why})"


def _sampling(made: Forecast) -> str:
    if len(made.sampling) == 1:
        return made.sampling[0]
    return f"{', '.join(made.sampling[:-1])} or {made.sampling[-1]}, whichever is found fastest before the first trial"


def _volume(count: int) -> str:
    return f"{count / 1e6:.3g} MB" if count < 1e9 else f"{count / 1e9:.3g} GB"


def describe(study: Study, made: Forecast) -> str:
    """Describe what a forecast measured and how long the study takes; `announce` describes what it runs."""
    steps = ", ".join(map(str, rung_steps(study, study.recipe)))
    lanes = "1 trial" if made.lanes == 1 else f"{made.lanes} trials"
    probed = f", a linear probe {made.seconds_per_probe:.3g} s" if made.seconds_per_probe else ""
    timed = " (extrapolated from one and two blocks: the model is too large to be timed)" if made.extrapolated else ""
    return "\n".join(
        [
            f"measured at steps {steps}; a step takes {1000 * made.seconds_per_step:.3g} ms,"
            f" an evaluation {made.seconds_per_evaluation:.3g} s{_cheaper(study)}{probed}{timed}",
            f"at most {duration(made.seconds)}, start-up and both stages (less what the pruner saves),"
            f" in {made.cohorts} cohorts of {lanes},"
            f" {made.slots} at once",
            _kept(study, made),
            *([] if study.resources.gpus else [f"draws samples in {_sampling(made)}"]),
        ]
    )
