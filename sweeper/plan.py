"""From a study to its cells and trials, in the order they run, and how many there are without building them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from typing import NamedTuple

from sweeper.records import Cell, Stage, TrialSpec
from sweeper.study import ExtraCell, Range, Study, block_indices, values
from trainer.recipe import Dispersion, Recipe, TauUnits, Variant

# Lanes of one batched program on a GPU where they could not be measured.
GPU_LANES = 8

BASELINE = Cell(role="baseline", label="baseline", dispersion=Dispersion())


class PlanSize(NamedTuple):
    """How much a study asks for: `trials` and `cohorts` are the screen's; `confirm_trials` come after it.

    The confirm stage runs the baseline, the best few, every marked cell and every control; where some are both, it
    runs fewer, as it does where its number of seeds is found only after the screen (`seeds: auto`).
    """

    cells: int
    seeds: int
    trials: int
    lanes: int
    cohorts: int
    confirm_trials: int


def dispersion(blocks: tuple[int, ...], lam: float, tau: float, variant: Variant, units: TauUnits) -> Dispersion:
    """Return a setting of the loss in its one form: `covariance` has no temperature, so its tau is always 1."""
    if variant == "covariance":
        tau, units = 1.0, "absolute"
    return Dispersion(blocks=blocks, lam=lam, tau=tau, variant=variant, tau_units=units)


def setting_cell(setting: Dispersion, depth: int, mark: str | None = None) -> Cell:
    """Return the cell that trains `setting` in a model of `depth` blocks, labelled for people."""
    return Cell(role="grid", label=setting_label(setting, depth), dispersion=setting, mark=mark)


def setting_label(setting: Dispersion, depth: int) -> str:
    """Say a setting in words, e.g. 'block 1, lambda 0.25, tau 0.5'; 'l2' and 'absolute' go without saying."""
    if len(setting.blocks) == depth and depth > 1:
        words = ["all blocks"]
    elif len(setting.blocks) > 1:
        words = ["blocks " + "+".join(map(str, setting.blocks))]
    else:
        words = [f"block {setting.blocks[0]}"]
    words.append(f"lambda {_number(setting.lam)}")
    if setting.variant != "covariance":
        words.append(f"tau {_number(setting.tau)}" + (" relative" if setting.tau_units == "relative" else ""))
    if setting.variant != "l2":
        words.append(setting.variant)
    return ", ".join(words)


def _number(value: float) -> str:
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


def block_choices(study: Study) -> tuple[tuple[int, ...], ...]:
    """Return the distinct sets of blocks the study turns to, resolved to indices, in the order written."""
    depth = study.recipe.model.depth
    return tuple(dict.fromkeys(block_indices(block, depth) for block in study.space.block))


def merged_blocks(study: Study) -> tuple[str, ...]:
    """Say which blocks of the space, written differently, are one at this depth, and so are measured once."""
    depth, written = study.recipe.model.depth, dict[tuple[int, ...], dict[str, None]]()
    for block in study.space.block:
        spelling = str(list(block)) if isinstance(block, tuple) else str(block)
        written.setdefault(block_indices(block, depth), {})[spelling] = None
    return tuple(
        f"at depth {depth} blocks {' and '.join(spellings)} are the same, {'+'.join(map(str, indices))}: measured once"
        for indices, spellings in written.items()
        if len(spellings) > 1
    )


def cells(study: Study) -> tuple[Cell, ...]:
    """Return every cell known beforehand: baseline, grid, extra cells that the grid lacks, controls.

    A grid that would train the same thing twice has it once. Under sampler random or tpe there is no grid: the
    search adds its configurations, and all extra cells are here.
    """
    depth = study.recipe.model.depth
    marks = {extra_setting(cell, depth): cell.label for cell in study.cells}
    grid = dict.fromkeys(_grid(study)) if study.screen.sampler == "grid" else {}
    settings = (setting_cell(setting, depth, marks.get(setting)) for setting in {**grid, **dict.fromkeys(marks)})
    controls = (
        Cell(role="control", label=arm.name, dispersion=Dispersion(), overrides=tuple(sorted(arm.set.items())))
        for arm in study.controls
    )
    return (BASELINE, *settings, *controls)


def extra_setting(cell: ExtraCell, depth: int) -> Dispersion:
    """Return what an extra cell trains in a model of `depth` blocks."""
    return dispersion(block_indices(cell.block, depth), cell.lam, cell.tau, cell.variant, cell.tau_units)


def _grid(study: Study) -> Iterator[Dispersion]:
    space = study.space
    for blocks, lam, tau, variant in product(
        block_choices(study), values(space.lam), values(space.tau), dict.fromkeys(space.variant)
    ):
        yield dispersion(blocks, lam, tau, variant, space.tau_units)


def screen_trials(study: Study) -> tuple[TrialSpec, ...]:
    """Return the trials of `cells`, seed block by seed block, so that a race can stop a cell before later seeds."""
    return _seed_blocks("screen", study.screen.seeds, cells(study))


def confirm_trials(study: Study, candidates: Iterable[Cell], seeds: Sequence[int]) -> tuple[TrialSpec, ...]:
    """Return the baseline, control arms, `candidates` and marked cells on fresh `seeds`, seed block by seed block.

    Controls are there to tell whether a plain change does what dispersion does, on the same seeds.
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
    steps than rungs, and then the last ones. The confirm stage stops nothing, so it measures at the end alone.
    """
    total = recipe.train.steps
    if stage == "confirm":
        return (total,)
    rungs = study.screen.rungs[-total:]
    steps: list[int] = []
    for place, fraction in enumerate(rungs):
        at_least = steps[-1] + 1 if steps else 1
        at_most = total - (len(rungs) - 1 - place)
        steps.append(min(max(round(fraction * total), at_least), at_most))
    return tuple(steps)


def evaluations(study: Study, recipe: Recipe, stage: Stage = "screen") -> float:
    """Return how many evaluations of eval.samples a trial's rungs come to: those before the last may draw fewer."""
    earlier = len(rung_steps(study, recipe, stage)) - 1
    return 1 + earlier * recipe.eval.samples_at(last=False) / recipe.eval.samples


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
    return study.keep == "all" or (study.keep == "finalists" and stage == "confirm")


def searched_count(study: Study) -> int:
    """Return how many configurations random and tpe propose; 0 for a grid.

    `screen.trials` counts every trial of the screen, so what the baseline, extra cells and controls need on all
    seeds is taken off first. A space of lists alone cannot give more configurations than it has.
    """
    if study.screen.trials is None:
        return 0
    fixed = 1 + len(study.cells) + len(study.controls)
    affordable = study.screen.trials // len(study.screen.seeds) - fixed
    if _is_continuous(study):
        return affordable
    return min(affordable, _grid_count(study) - len(study.cells) + _extras_outside_grid(study))


def _is_continuous(study: Study) -> bool:
    has_tau = any(variant != "covariance" for variant in study.space.variant)
    return isinstance(study.space.lam, Range) or (isinstance(study.space.tau, Range) and has_tau)


def _grid_count(study: Study) -> int:
    space = study.space
    with_tau = len({*space.variant} - {"covariance"})
    without = int("covariance" in space.variant)
    return len(block_choices(study)) * len(values(space.lam)) * (with_tau * len(values(space.tau)) + without)


def _extras_outside_grid(study: Study) -> int:
    space, depth = study.space, study.recipe.model.depth
    blocks, lams, taus = set(block_choices(study)), set(values(space.lam)), set(values(space.tau))

    def in_grid(cell: ExtraCell) -> bool:
        known = block_indices(cell.block, depth) in blocks and cell.lam in lams and cell.variant in space.variant
        return known and (cell.variant == "covariance" or (cell.tau in taus and cell.tau_units == space.tau_units))

    return sum(not in_grid(cell) for cell in study.cells)


def size(study: Study, lanes: int | None = None) -> PlanSize:
    """Return how much a study asks for, by arithmetic on its axes: a million cells take no longer than ten.

    `lanes` are the trials of a cohort, where they were measured; else those of a CPU.
    """
    if study.screen.sampler == "grid":
        settings = _grid_count(study) + _extras_outside_grid(study)
    else:
        settings = searched_count(study) + len(study.cells)
    shared, seeds, lanes = 1 + settings, len(study.screen.seeds), lanes or lane_count(study, "cpu")
    count = shared + len(study.controls)
    controls, confirm = len(study.controls), study.confirm
    again = 1 + controls + min(confirm.top + len(study.cells), settings) if confirm else 0
    fresh = confirm.seed_count() if confirm else 0
    return PlanSize(
        cells=count,
        seeds=seeds,
        trials=count * seeds,
        lanes=lanes,
        cohorts=seeds * (math.ceil(shared / lanes) + len(study.controls)),
        confirm_trials=again * fresh,
    )


def announce(study: Study) -> str:
    """Say in a line or two what a study will run."""
    planned = size(study)
    lines = [f"{study.name}: {planned.cells} cells on {planned.seeds} seeds = {planned.trials} trials"]
    if planned.confirm_trials:
        most = "at most " if study.confirm and study.confirm.seeds == "auto" else ""
        lines.append(f"then {most}{planned.confirm_trials} trials on fresh seeds to confirm")
    lines += (f"note: {note}" for note in merged_blocks(study))
    return "\n".join(lines)


def estimate(
    study: Study,
    seconds_per_step: float,
    seconds_per_evaluation: float,
    slots: int,
    full_samples: int | None = None,
) -> float:
    """Return the seconds both stages take at most, pruning and start-up aside, with `slots` trials at once.

    Both costs are those of one trial: of a cohort's step, and of its evaluation on all of eval.samples, divided by its
    lanes. `full_samples` are those of the confirm stage's full metric, if it is measured.
    """

    def cost(recipe: Recipe, stage: Stage) -> float:
        drawn = evaluations(study, recipe, stage)
        if stage == "confirm" and full_samples:
            drawn *= full_samples / recipe.eval.samples
        return recipe.train.steps * seconds_per_step + drawn * seconds_per_evaluation

    planned = size(study)
    arms = [cost(study.recipe.override(arm.set), "screen") for arm in study.controls]
    mean = (cost(study.recipe, "screen") * (planned.cells - len(arms)) + sum(arms)) / planned.cells
    again = math.ceil(planned.confirm_trials / slots) * cost(study.recipe, "confirm")
    return math.ceil(planned.trials / slots) * mean + again
