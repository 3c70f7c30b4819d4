"""The trials of a study's stages in the order they run, and the steps at which they are measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import assert_never

from sweeper.planning.cells import BASELINE, cells
from sweeper.records import Cell, Stage, TrialSpec
from sweeper.study import Study, further_seeds
from trainer.recipe import Recipe

# Lanes of one batched program on a GPU where they could not be measured.
GPU_LANES = 8


def screen_trials(study: Study) -> tuple[TrialSpec, ...]:
    """Return the trials of `cells`, seed block by seed block, so that a race can stop a cell before later seeds.

    Then come those of lambda 0 alone, if it has more seeds than a cell.
    """
    shared = _seed_blocks("screen", study.screen.seeds, cells(study))
    return shared + _seed_blocks("screen", further_seeds(study), (BASELINE,))


def confirm_trials(study: Study, candidates: Iterable[Cell], seeds: Sequence[int]) -> tuple[TrialSpec, ...]:
    """Return the baseline, control arms, `candidates` and marked cells on fresh `seeds`, seed block by seed block.

    Controls show, on the same seeds, whether a plain change does as well as dispersion.
    """
    given = cells(study)
    always = [cell for cell in given if cell.role == "control" or cell.mark]
    chosen = {cell.key: cell for cell in (BASELINE, *candidates, *always)}
    return _seed_blocks("confirm", seeds, tuple(chosen.values()))


def _seed_blocks(stage: Stage, seeds: Sequence[int], chosen: Sequence[Cell]) -> tuple[TrialSpec, ...]:
    return tuple(TrialSpec(stage=stage, cell=cell, seed=seed) for seed in seeds for cell in chosen)


def rung_steps(study: Study, recipe: Recipe, stage: Stage = "screen") -> tuple[int, ...]:
    """Return the steps at which trials of `recipe` are measured: rising, the last one `recipe.train.steps`.

    As many as the study has rungs, moved apart where rounding would join them; fewer only where there are fewer
    steps than rungs, and then the last ones. The confirm stage stops nothing, so it measures at the end alone, and
    where the guidance curve is wanted by training length.
    """
    total = recipe.train.steps
    rungs = (recipe.eval.cfg_rungs if stage == "confirm" else study.screen.rungs)[-total:]
    steps: list[int] = []
    for place, fraction in enumerate(rungs):
        at_least = steps[-1] + 1 if steps else 1
        at_most = total - (len(rungs) - 1 - place)
        steps.append(min(max(round(fraction * total), at_least), at_most))
    return tuple(steps)


def evaluations(study: Study, recipe: Recipe, stage: Stage = "screen") -> float:
    """Return a trial's rungs in units of one evaluation of eval.samples: rungs before the last may draw fewer."""
    earlier = len(rung_steps(study, recipe, stage)) - 1
    return 1 + earlier * study.minimised.early_share


def curve_evaluations(recipe: Recipe) -> float:
    """Return a finalist's guidance curve in units of one evaluation of eval.samples.

    A scale other than 1 evaluates the network twice on the part of the way where it guides.
    """
    evaluation = recipe.eval
    passes = sum(map(evaluation.passes, evaluation.cfg_curve)) / evaluation.passes(evaluation.cfg)
    return len(evaluation.cfg_rungs) * passes * evaluation.curve_samples / evaluation.samples


def probe_count(study: Study, recipe: Recipe, stage: Stage = "screen") -> int:
    """Return at how many of a trial's rungs the linear probe runs."""
    match recipe.eval.linear_probe:
        case "none":
            return 0
        case "last rung":
            return 1
        case "every rung":
            return len(rung_steps(study, recipe, stage))
        case _:
            assert_never(recipe.eval.linear_probe)


def lane_count(study: Study, device: str) -> int:
    """Return how many trials train as one program on `device` ('cpu', 'cuda', 'cuda:0', ...).

    On a CPU one: fusing gains 0.7x to 1.15x there (measured), and a process for each core gains more.
    """
    if study.resources.cohort != "auto":
        return study.resources.cohort
    return GPU_LANES if device.startswith("cuda") else 1


def keeps_weights(study: Study, stage: Stage) -> bool:
    """Whether the weights of a stage's complete trials outlive the study.

    Finalists are known from the confirm stage on. All their seeds are kept, as one seed alone supports no claim.
    """
    match study.keep:
        case "none":
            return False
        case "finalists":
            return stage == "confirm"
        case "all":
            return True
        case _:
            assert_never(study.keep)
