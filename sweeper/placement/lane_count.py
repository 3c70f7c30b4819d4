"""How many trials of a study train as one program, measured where they will run before the first is handed out."""

from __future__ import annotations

import logging

import ray
from ray.exceptions import RayTaskError

from sweeper.calibration.calibrate import lanes_here
from sweeper.coordinator.paths import Paths
from sweeper.placement.coordinator_proxy import call
from sweeper.planning.trials import lane_count
from sweeper.study import Study

log = logging.getLogger(__name__)


def lanes_for(study: Study, paths: Paths) -> int:
    """Return the lanes of a cohort: as the study says, one on a CPU, and on a GPU as many as `measured` finds."""
    if study.resources.cohort == "auto" and study.resources.gpus:
        return measured(study, paths)
    return lane_count(study, "cpu")


def measured(study: Study, paths: Paths) -> int:
    """Measure in a process with a cohort's own cores and GPU: neither the driver nor the coordinator need have one.

    Where that fails the study goes on with a guess; the first cohort to meet the problem will report it.
    """
    resources = study.resources
    # One call per process: an idle one would keep its share of the GPU.
    task = ray.remote(num_cpus=resources.cpus, num_gpus=resources.gpus, max_calls=1, max_retries=0)(lanes_here)
    try:
        lanes: int = call(task.remote(study, paths.base, paths.cache))
    except (RayTaskError, OSError) as error:
        lanes = lane_count(study, "cuda")
        log.warning("lanes could not be measured (%s); cohorts have %d", error, lanes)
    return lanes
