"""Assignments: what the coordinator sends a worker to train."""

from __future__ import annotations

from sweeper.coordinator.cohort_queue import CohortQueue, Running
from sweeper.coordinator.paths import Paths
from sweeper.planning.trials import keeps_weights, rung_steps
from sweeper.study import Study
from sweeper.study.sampling import drawn_by
from sweeper.worker.messages import Assignment


def assignment(study: Study, running: Running, queue: CohortQueue, paths: Paths, check_fid: bool) -> Assignment:
    """Describe the attempt at a cohort that has just begun."""
    resources, steps = study.resources, rung_steps(study, running.recipe, running.stage)
    return Assignment(
        cohort=running.name,
        attempt=running.attempt,
        recipe=drawn_by(running.recipe, paths.registration.sampling or "eager fp32"),
        trials=running.cohort.trials,
        living=frozenset(running.living),
        rungs=tuple(step for step in steps if step > running.cohort.step),
        checkpoint=str(queue.checkpoint(running)),
        parked=str(queue.parked_at(running)),
        sources=queue.sources(running),
        checkpoint_seconds=resources.checkpoint_seconds,
        cache=str(paths.cache),
        base=str(paths.base),
        cpus=resources.cpus,
        gpus=resources.gpus,
        check_fid=check_fid,
        full=running.stage == "confirm",
        objective=study.objective,
        weights=str(queue.weights_at(running)) if keeps_weights(study, running.stage) else None,
    )
