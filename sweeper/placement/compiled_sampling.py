"""Choose how a study draws its samples (compiled, bfloat16), by a trial on the machine where its trials will run."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import ray
from ray.exceptions import RayTaskError

from sweeper.calibration.compiled_sampling import choose
from sweeper.calibration.timed_sampling import Attempt, try_sampling
from sweeper.coordinator.paths import Paths
from sweeper.placement.coordinator_proxy import call, last_line
from sweeper.study import Study
from sweeper.study.sampling import Sampling


def with_choice(study: Study, paths: Paths, slots: int) -> Paths:
    """Return the paths with a registration that says how samples are drawn.

    Raises SetupError where the study requires compiled code that cannot be had.
    """
    sampling = choose(study, paths.registration.sampling, slots, lambda ways: _tried(study, paths, ways))
    return dataclasses.replace(paths, registration=paths.registration.model_copy(update={"sampling": sampling}))


def _tried(study: Study, paths: Paths, ways: Sequence[Sampling]) -> Attempt:
    # In a process with a cohort's own cores: the code depends on their number and kind.
    task = ray.remote(num_cpus=study.resources.cpus, max_calls=1, max_retries=0)(try_sampling)
    try:
        attempt: Attempt = call(task.remote(study, paths.base, paths.cache, ways))
    except (RayTaskError, OSError) as error:
        return Attempt({}, last_line(error))
    return attempt
