"""Which settings of a screen are worth confirming: one ranking, shared by the confirm stage and the guide.

Any choice is valid, as claims come from seeds that took no part in it; a better choice finds more effects. With second
objectives some of the places are for settings that no other beats in everything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from sweeper.guide.analysis.screen_surface import lay_out, screen_of
from sweeper.guide.analysis.stage_table import Evidence
from sweeper.guide.schema.results import CellResult
from sweeper.records import BASELINE_KEY
from sweeper.statistics.dominance import non_dominated
from sweeper.statistics.response_surface import Screen
from sweeper.study.pruners import PRUNERS
from sweeper.study.second_objectives import levels
from trainer.recipe import Dispersion


def worth_confirming(
    logs: Mapping[str, Sequence[float]],
    settings: Mapping[str, Dispersion],
    screen: Screen | None,
    top: int,
    traded: Mapping[str, Sequence[float]] | None = None,
) -> list[str]:
    """Return the keys of `top` candidates, by the objective alone unless it may be `traded` for others.

    `traded` are where candidates stand in each second objective, lower being better. Then half of the places, and at
    least one, go by the objective over all candidates; each second objective's leader follows, and then the rest of the
    front: the settings, complete on the most seeds, that no other beats in everything.

    With the front first the best by the objective was among three in 43 % of simulated studies (48 settings, three
    seeds, recall best where FID is worst), by the objective alone in 95 %, and so in 82 %: on a noisy screen a setting
    that is a little better in both by chance keeps the best out of the front.
    """

    def first(keys: Sequence[str], count: int) -> list[str]:
        return by_objective({key: logs[key] for key in keys}, settings, screen, count) if count > 0 else []

    if not traded:
        return by_objective(logs, settings, screen, top)
    front = _front(logs, traded)
    if not front:
        return by_objective(logs, settings, screen, top)
    leaders = _leaders(front, traded)
    chosen = first(list(logs), max(1, min(top - len(leaders), (top + 1) // 2)))
    chosen += [key for key in leaders if key not in chosen]
    for keys in (front, list(logs)):
        chosen += first([key for key in keys if key not in chosen], top - len(chosen))
    return chosen[:top]


def _front(logs: Mapping[str, Sequence[float]], traded: Mapping[str, Sequence[float]]) -> list[str]:
    """Return the non-dominated of the candidates complete on the most seeds, lowest mean first.

    Means over fewer seeds are over other seeds, and cannot be compared.
    """
    by_mean = ranked(logs)
    most = [key for key in by_mean if len(logs[key]) == len(logs[by_mean[0]])]
    if not most:
        return []
    value_CO = np.array([[sum(logs[key]) / len(logs[key]), *traded[key]] for key in most], dtype=np.float64)
    return [key for key, free in zip(most, non_dominated(value_CO), strict=True) if free]


def _leaders(front: Sequence[str], traded: Mapping[str, Sequence[float]]) -> list[str]:
    """Return who leads in each second objective; of equals the first in the front."""
    places = range(len(traded[front[0]]))
    found = (min(front, key=lambda key: traded[key][place]) for place in places)
    return list(dict.fromkeys(found))


def by_objective(
    logs: Mapping[str, Sequence[float]], settings: Mapping[str, Dispersion], screen: Screen | None, top: int
) -> list[str]:
    """Return the keys of `top` candidates: two of three from the response surface, the others by their mean.

    `logs` are the log objectives of the candidates' complete seeds, as `ranked` takes them. `settings` are those that
    `screen` measured, in the order of its rows: one that was stopped informs the surface too. The surface finds the
    best of a smooth grid more often than means do; an isolated good setting is found by its mean. Without a surface,
    as with too few settings, means alone decide.
    """
    by_mean = ranked(logs)
    if len(by_mean) <= top or screen is None:
        return by_mean[:top]
    laid = lay_out(*_in_order(settings, screen))
    most = [key for key in by_mean if len(logs[key]) == len(logs[by_mean[0]]) and key in settings]
    surface = laid.fit(np.array([laid.place(settings[key]) for key in most])) if most else None
    if surface is None:
        return by_mean[:top]
    level = dict(zip(most, surface.mean[len(laid.keys) :].tolist(), strict=True))
    first = sorted(most, key=lambda key: (level[key], key))[: (2 * top + 1) // 3]
    return (first + [key for key in by_mean if key not in first])[:top]


def candidates(known: Evidence, cells: Sequence[CellResult], top: int, by_surface: bool = True) -> tuple[str, ...]:
    """Return the keys of the settings that a confirm stage would take over from a recorded screen.

    `cells` are the settings of the screen; one that was stopped, or would have been, is no candidate.
    """
    table, stops = known.stages.get("screen"), PRUNERS[known.study.screen.pruner].stops
    if table is None:
        return ()
    rows = {
        cell.key: table.logs()[table.row[cell.key]]
        for cell in cells
        if not (cell.audited or (stops == "cells" and "pruned" in cell.states))
    }
    logs = {key: row[np.isfinite(row)].tolist() for key, row in rows.items()}
    settings, screen = screen_of(known)
    return tuple(worth_confirming(logs, settings, screen if by_surface else None, top, screen_levels(known, rows)))


def screen_levels(known: Evidence, keys: Iterable[str]) -> dict[str, tuple[float, ...]]:
    """Return where settings of a recorded screen stand in each second objective, lower being better; {} with none."""
    table, traded = known.stages.get("screen"), known.study.traded
    if table is None or not traded:
        return {}
    scores = {
        name: table.scores(name) for name in (second_objective.recorded(table.metrics) for second_objective in traded)
    }

    def columns(key: str) -> dict[str, list[float]]:
        return {name: value_CS[table.row[key]].tolist() for name, value_CS in scores.items() if key in table.row}

    return {key: levels(traded, columns(key), columns(BASELINE_KEY)) for key in keys}


def ranked(logs: Mapping[str, Sequence[float]]) -> list[str]:
    """Return settings' keys, best first, from the log objectives of their complete seeds: by their mean.

    Those complete on more seeds come before those on fewer, and one without any is not among them.

        >>> ranked({"a": [0.2, 0.4], "b": [0.1], "c": [0.1, 0.3], "d": []})
        ['c', 'a', 'b']
    """
    known = [key for key, values in logs.items() if values]
    return sorted(known, key=lambda key: (-len(logs[key]), sum(logs[key]) / len(logs[key]), key))


def _in_order(settings: Mapping[str, Dispersion], screen: Screen) -> tuple[dict[str, Dispersion], Screen]:
    """Return both in the order of the keys, as the surface's posterior samples are drawn row by row."""
    keys = list(settings)
    rows = sorted(range(len(keys)), key=lambda row: keys[row])
    early = None if screen.early_CS is None else screen.early_CS[rows]
    return {keys[row]: settings[keys[row]] for row in rows}, Screen(screen.y_CS[rows], screen.baseline_S, early)
