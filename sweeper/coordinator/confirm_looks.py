"""The confirm stage in looks: which trials its results so far call for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from sweeper.coordinator.finalists import Finalists
from sweeper.plan.cells import BASELINE
from sweeper.plan.trials import confirm_trials
from sweeper.records import Cell, Stage, TrialSpec
from sweeper.statistics.effects import Matrix
from sweeper.statistics.levels import OBJECTIVE_ALPHA
from sweeper.statistics.looks import endings, log_ratios
from sweeper.study import Study

Outcomes = Mapping[str, float | None]


class ConfirmLooks:
    """Judges finalists after 3, 5, 8, ... fresh seeds; whoever is confirmed or futile takes no further ones.

    Everything follows from the results: a study that is continued after a crash replays its looks.
    """

    def __init__(self, study: Study, chosen: Finalists) -> None:
        self._study, self._chosen = study, chosen
        first = confirm_trials(study, chosen.cells, chosen.seeds[:1])
        self._settings = [trial.cell for trial in first if trial.cell.role == "grid"]

    def due(self, outcomes: Outcomes) -> tuple[TrialSpec, ...]:
        """Return every trial of the looks reached so far, in the order they run.

        `outcomes` are the objectives of the trials that have ended, by key; None where one has none. The baseline and
        the control arms go on as long as any setting does, for they are what it is compared with.
        """
        chosen, wanted, begun = self._chosen, list[TrialSpec](), 0
        open_ = {cell.key for cell in self._settings}
        for look in chosen.schedule:
            block = confirm_trials(self._study, chosen.cells, chosen.seeds[begun:look])
            wanted += [trial for trial in block if trial.cell.role != "grid" or trial.cell.key in open_]
            if any(trial.key not in outcomes for trial in wanted):
                break
            begun, open_ = look, self._open_after(look, outcomes)
            if not open_:
                break
        return tuple(wanted)

    def _open_after(self, look: int, outcomes: Outcomes) -> set[str]:
        """Return the keys of the settings that go on after so many seeds."""
        chosen, settings = self._chosen, self._settings
        value_CS = objectives(outcomes, "confirm", [BASELINE, *settings], chosen.seeds[:look])
        # All of these trials have ended: one without a figure diverged or failed.
        own_KS, baseline_KS = value_CS[1:], np.broadcast_to(value_CS[0], value_CS[1:].shape)
        difference_KS = log_ratios(own_KS, baseline_KS, np.isnan(own_KS))
        directions = [chosen.directions.get(cell.key, "lower") for cell in settings]
        marked = [cell.mark is not None for cell in settings]
        found = endings(
            difference_KS, directions, chosen.schedule, OBJECTIVE_ALPHA, chosen.prior, marked, chosen.least_noise
        )
        return {cell.key for cell, ending in zip(settings, found, strict=True) if ending.state == "open"}


def objectives(outcomes: Outcomes, stage: Stage, cells: Sequence[Cell], seeds: Sequence[int]) -> Matrix:
    """Return the objectives of trials, [C, S]; NaN where there is none."""
    keys = [[TrialSpec(stage=stage, cell=cell, seed=seed).key for seed in seeds] for cell in cells]
    return np.array([[outcomes.get(key) for key in row] for row in keys], dtype=np.float64)
