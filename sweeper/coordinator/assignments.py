"""Assignments: what the coordinator sends a worker to train."""

from __future__ import annotations

from sweeper.coordinator.cohort_queue import CohortQueue, Running
from sweeper.coordinator.paths import Paths
from sweeper.plan.trials import keeps_weights, rung_steps
from sweeper.study import Study
from sweeper.worker.messages import Assignment
from trainer.recipe import Recipe


def assignment(study: Study, running: Running, queue: CohortQueue, paths: Paths, check_fid: bool) -> Assignment:
    """Describe the attempt at a cohort that has just begun."""
    resources, steps = study.resources, rung_steps(study, running.recipe, running.stage)
    return Assignment(
        cohort=running.name,
        attempt=running.attempt,
        recipe=_chosen(running.recipe, paths.registration.compiled),
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


def _chosen(recipe: Recipe, compiled: bool | None) -> Recipe:
    """Return a recipe with the study's choice of how samples are drawn, which `auto` leaves to it."""
    return recipe.override({"eval.compile": "on"}) if compiled else recipe
