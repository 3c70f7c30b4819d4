"""Choose the finalists: which settings of a finished screen are confirmed, and in which direction each is tested."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from sweeper.coordinator.confirm_looks import objectives
from sweeper.coordinator.finalists import Finalists
from sweeper.guide.analysis.screen_surface import early_rung, is_sound
from sweeper.guide.analysis.worth_confirming import worth_confirming
from sweeper.planning.cells import BASELINE, cells
from sweeper.records import Cell, TrialSpec
from sweeper.search import Search
from sweeper.statistics.effects import Matrix
from sweeper.statistics.looks import direction_of, prior_of_screen
from sweeper.statistics.moments import moments
from sweeper.statistics.resolution import least_noise
from sweeper.statistics.response_surface import Screen
from sweeper.study import Study, further_seeds
from sweeper.study.second_objectives import Columns, columns, levels
from trainer.recipe import Better


def choose_finalists(study: Study, screened: Search, seeds: tuple[int, ...]) -> Finalists:
    """Choose the confirm stage's arms once the screen is finished; they run on at most these fresh `seeds`."""
    confirm = study.confirm
    looks = confirm.schedule if confirm and confirm.seeds == "auto" else ()
    settings = [cell for cell in screened.cells() if cell.role == "grid"]
    ran = (*study.screen.seeds, *further_seeds(study))
    value_CS = objectives(screened.outcomes(), "screen", [BASELINE, *settings], ran)
    log_CS = np.log(np.where(value_CS > 0, value_CS, np.nan))
    traded = _traded(study, screened, settings, ran)
    best = _best(screened, settings, ran, log_CS, confirm.top if confirm else 0, traded)
    arms = [*best, *(cell for cell in cells(study) if cell.mark or cell.role == "control")]
    directions = _directions(objectives(screened.outcomes(), "screen", [BASELINE, *arms], ran), arms)
    least = least_noise(study.minimised.name(), np.array(list(screened.outcomes().values()), dtype=np.float64))
    prior = prior_of_screen(log_CS[1:], log_CS[0], least)
    return Finalists(cells=best, seeds=seeds, looks=looks, directions=directions, prior=prior, least_noise=least)


def _directions(value_CS: Matrix, arms: Sequence[Cell]) -> dict[str, Better]:
    """Return whether each arm was better or worse in the screen; better if it was not screened. Lambda 0 is row 0."""
    log_CS = np.log(np.where(value_CS > 0, value_CS, np.nan))
    mean_C = moments(log_CS[1:] - log_CS[0]).mean
    return {
        cell.key: direction_of(mean) if np.isfinite(mean) else "lower"
        for cell, mean in zip(arms, mean_C.tolist(), strict=True)
    }


def _traded(
    study: Study, screened: Search, settings: Sequence[Cell], seeds: Sequence[int]
) -> dict[str, tuple[float, ...]]:
    """Return where settings stand in each second objective, as `worth_confirming` takes it; {} with none."""
    traded, beside = study.traded, screened.beside()

    def values(cell: Cell) -> Columns:
        return columns([beside[key] for key in _keys(cell, seeds) if key in beside])

    return {cell.key: levels(traded, values(cell), values(BASELINE)) for cell in settings} if traded else {}


def _best(
    screened: Search,
    settings: Sequence[Cell],
    seeds: Sequence[int],
    log_CS: Matrix,
    top: int,
    traded: Mapping[str, Sequence[float]],
) -> tuple[Cell, ...]:
    """Return the settings worth confirming, as a guide of the same screen names them.

    `log_CS` are their log objectives on these seeds, the baseline's first, `traded` their second objectives.
    """
    states, known = screened.states(), screened.rungs()
    states_C = [[state for key in _keys(cell, seeds) if (state := states.get(key))] for cell in settings]
    sound = [place for place, ended in enumerate(states_C) if is_sound(ended)]
    placed = [settings[place] for place in sound]
    steps = sorted({step for values in known.values() for step in values})[:-1]
    rungs = {
        step: objectives({key: values.get(step) for key, values in known.items()}, "screen", placed, seeds)
        for step in steps
    }
    was_stopped = np.array(["pruned" in states_C[place] for place in sound], dtype=bool)
    eligible = {cell.key: cell for cell in screened.eligible()}
    logs = {cell.key: row[np.isfinite(row)].tolist() for cell, row in zip(settings, log_CS[1:], strict=True)}
    chosen = worth_confirming(
        {key: logs[key] for key in eligible},
        {cell.key: cell.dispersion for cell in placed},
        Screen(log_CS[1:][sound], log_CS[0], early_rung(rungs, was_stopped)),
        top,
        traded,
    )
    return tuple(eligible[key] for key in chosen)


def _keys(cell: Cell, seeds: Sequence[int]) -> list[str]:
    return [TrialSpec(stage="screen", cell=cell, seed=seed).key for seed in seeds]
