"""The size of a study, by arithmetic: trials, cohorts and seconds, without building any of them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from sweeper.planning.cells import merged_blocks
from sweeper.planning.trials import curve_evaluations, evaluations, lane_count, probe_count
from sweeper.records import Stage
from sweeper.statistics.error_budget import FEWEST_SEEDS
from sweeper.study import Study, further_seeds
from sweeper.study.knobs import BLOCK, KNOBS, NEGATIVES, VARIANT, cell_setting
from sweeper.study.space_size import extras_outside_grid, grid_count, in_grid, is_continuous
from sweeper.text.numbers import counted
from trainer.recipe import Recipe


class PlanSize(NamedTuple):
    """The size of a study: `trials` and `cohorts` are the screen's; `confirm_trials` come after it.

    `baseline_seeds` are those of lambda 0 in the screen; beyond the settings' `seeds` it trains by itself.

    The confirm stage runs the baseline, the best few, every marked cell and every control; where some are both, it
    runs fewer, as it does where it is judged in looks (`seeds: auto`) and its finalists end before the last one.
    """

    cells: int
    seeds: int
    trials: int
    lanes: int
    cohorts: int
    confirm_trials: int
    baseline_seeds: int


def searched_count(study: Study) -> int:
    """Return how many configurations random and tpe propose; 0 for a grid.

    `screen.trials` counts every trial of the screen, so what the baseline, extra cells and controls need on all
    seeds is taken off first. A space of lists alone cannot give more configurations than it has.
    """
    if study.screen.trials is None:
        return 0
    fixed = 1 + len(study.cells) + len(study.controls)
    affordable = (study.screen.trials - len(further_seeds(study))) // len(study.screen.seeds) - fixed
    if is_continuous(study):
        return affordable
    return min(affordable, grid_count(study) - len(study.cells) + extras_outside_grid(study))


def size(study: Study, lanes: int | None = None) -> PlanSize:
    """Return a study's size, by arithmetic on its axes: a million cells take no longer than ten.

    `lanes` are the trials of a cohort, where they were measured; else those of a CPU.
    """
    if study.screen.sampler == "grid":
        settings = grid_count(study) + extras_outside_grid(study)
    else:
        settings = searched_count(study) + len(study.cells)
    shared, seeds, lanes = 1 + settings, len(study.screen.seeds), lanes or lane_count(study, "cpu")
    count = shared + len(study.controls)
    controls, confirm = len(study.controls), study.confirm
    again = 1 + controls + min(confirm.top + len(study.cells), settings) if confirm else 0
    fresh, further = confirm.seed_count if confirm else 0, len(further_seeds(study))
    return PlanSize(
        cells=count,
        seeds=seeds,
        trials=count * seeds + further,
        lanes=lanes,
        cohorts=seeds * (_shared_cohorts(study, shared, lanes) + len(study.controls)) + further,
        confirm_trials=again * fresh,
        baseline_seeds=seeds + further,
    )


def _shared_cohorts(study: Study, settings: int, lanes: int) -> int:
    """Return how many cohorts the baseline and all settings of the study's own recipe form on one seed.

    Lanes whose memory banks differ in size do not train together. A search's draws are not known beforehand: at worst
    every bank size that it may draw leaves one cohort that is not full.
    """
    with_bank = _settings_by_bank(study)
    if lanes == 1 or study.screen.sampler != "grid":
        sizes = min(settings, 1 + len(with_bank))
        return (settings - sizes) // lanes + sizes
    without = settings - with_bank.total()
    return sum(math.ceil(count / lanes) for count in (without, *with_bank.values()))


def _settings_by_bank(study: Study) -> Counter[tuple[int, int]]:
    found: Counter[tuple[int, int]] = Counter()
    blocks = Counter(len(chosen) for chosen in BLOCK.points(study))
    others = [knob for knob in KNOBS if knob not in (VARIANT, BLOCK, NEGATIVES)]
    for variant in {*study.space.variant}:
        each = math.prod(len(knob.points(study)) for knob in others if knob.applies(variant))
        for entries in NEGATIVES.points(study) if NEGATIVES.applies(variant) else ():
            if entries != NEGATIVES.usual:
                found += Counter({(entries, size): each * count for size, count in blocks.items()})
    settings = (cell_setting(cell, study.recipe.model.taps) for cell in study.cells)
    found.update(setting.bank for setting in settings if setting.bank and not in_grid(study, setting))
    return found


def announce(study: Study) -> str:
    """Describe in a line or two what a study will run."""
    planned = size(study)
    more = f", lambda 0 on {planned.baseline_seeds}," if planned.baseline_seeds > planned.seeds else ""
    tried = f"{planned.cells} cells on {counted(planned.seeds, 'seed')}{more} = {planned.trials} trials"
    lines = [f"{study.name}: {tried}, data {' '.join(filter(None, (study.recipe.data.name, study.recipe.data.path)))}"]
    if planned.confirm_trials:
        most = "at most " if study.confirm and len(study.confirm.schedule) > 1 else ""
        lines.append(f"then {most}{planned.confirm_trials} trials on fresh seeds to confirm")
    lines += (f"note: {note}" for note in (*merged_blocks(study), *_too_few(study)))
    return "\n".join(lines)


def _too_few(study: Study) -> Iterator[str]:
    if study.confirm and study.confirm.seed_count < FEWEST_SEEDS:
        yield f"on {study.confirm.seed_count} fresh seeds nothing can be confirmed; {FEWEST_SEEDS} are the fewest"


def estimate(
    study: Study,
    seconds_per_step: float,
    seconds_per_evaluation: float,
    slots: int,
    full_samples: int | None = None,
    slower: Mapping[str, float] = MappingProxyType({}),
    seconds_per_probe: float = 0.0,
) -> float:
    """Return the seconds both stages take at most, pruning and start-up aside, with `slots` trials at once.

    Both costs are those of one trial: of a cohort's step, and of its evaluation on all of eval.samples, divided by its
    lanes. `full_samples` are those of the confirm stage's full metric, if it is measured, beside its guidance curve;
    `slower` says by its name how many times the study's own step a control's takes.
    """

    def cost(recipe: Recipe, stage: Stage) -> float:
        drawn = evaluations(study, recipe, stage)
        if stage == "confirm" and full_samples:
            drawn *= full_samples / recipe.eval.samples
        drawn += curve_evaluations(recipe) if stage == "confirm" else 0
        probing = probe_count(study, recipe, stage) * seconds_per_probe
        return recipe.train.steps * seconds_per_step + drawn * seconds_per_evaluation + probing

    planned = size(study)
    arms = [cost(study.recipe.override(arm.set), "screen") for arm in study.controls]
    mean = (cost(study.recipe, "screen") * (planned.cells - len(arms)) + sum(arms)) / planned.cells
    again = math.ceil(planned.confirm_trials / slots) * cost(study.recipe, "confirm")
    seeds = planned.seeds + (study.confirm.seed_count if study.confirm else 0)
    more = [
        (slower.get(arm.name, 1.0) - 1) * study.recipe.override(arm.set).train.steps * seconds_per_step
        for arm in study.controls
    ]
    return math.ceil(planned.trials / slots) * mean + again + seeds * sum(more) / slots
