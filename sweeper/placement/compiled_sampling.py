"""A study's choice of compiled or eager sampling, tried out where its trials will run."""

from __future__ import annotations

import dataclasses

import ray
from ray.exceptions import RayTaskError

from sweeper.calibration.compiled_sampling import Attempt, choose, try_compiling
from sweeper.coordinator.paths import Paths
from sweeper.placement.coordinator_proxy import call, last_line
from sweeper.study import Study


def with_choice(study: Study, paths: Paths, slots: int) -> Paths:
    """Return the paths with a registration that says whether samples are drawn by compiled code.

    Raises SetupError where that has to be and cannot.
    """
    compiled = choose(study, paths.registration.compiled, slots, lambda: _tried(study, paths))
    return dataclasses.replace(paths, registration=paths.registration.model_copy(update={"compiled": compiled}))


def _tried(study: Study, paths: Paths) -> Attempt:
    # In a process with a cohort's own cores: the code depends on their number and kind.
    task = ray.remote(num_cpus=study.resources.cpus, max_calls=1, max_retries=0)(try_compiling)
    try:
        attempt: Attempt = call(task.remote(study, paths.base, paths.cache))
    except (RayTaskError, OSError) as error:
        return Attempt(0.0, last_line(error))
    return attempt
