"""The confirm stage in looks: which trials to run next, given the results so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from sweeper.coordinator.finalists import Finalists
from sweeper.planning.cells import BASELINE
from sweeper.planning.trials import confirm_trials
from sweeper.records import Cell, Stage, TrialSpec
from sweeper.statistics.effects import Matrix
from sweeper.statistics.look_families import Arms, equivalence_of, still_open
from sweeper.statistics.looks import Judging
from sweeper.study import Study

Outcomes = Mapping[str, float | None]


class ConfirmLooks:
    """Judges finalists after 3, 5, 8, ... fresh seeds; an arm that is confirmed or futile takes no further ones.

    Everything follows from the results: a study that is continued after a crash replays its looks.
    """

    def __init__(self, study: Study, chosen: Finalists) -> None:
        self._study, self._chosen = study, chosen
        first = confirm_trials(study, chosen.cells, chosen.seeds[:1])
        self._settings = [trial.cell for trial in first if trial.cell.role == "grid"]
        self._controls = [trial.cell for trial in first if trial.cell.role == "control"]
        arms, confirm = len(self._settings) + len(self._controls), study.confirm
        within = equivalence_of(confirm.margin, arms) if confirm and confirm.equivalence else None
        self._judging = Judging(chosen.schedule, chosen.prior, chosen.least_noise, within)

    def due(self, outcomes: Outcomes) -> tuple[TrialSpec, ...]:
        """Return every trial of the looks reached so far, in the order they run.

        `outcomes` are the objectives of the trials that have ended, by key; None where one has none. The baseline goes
        on as long as any arm does.
        """
        chosen, wanted, begun = self._chosen, list[TrialSpec](), 0
        open_ = {cell.key for cell in (*self._settings, *self._controls)}
        for look in chosen.schedule:
            block = confirm_trials(self._study, chosen.cells, chosen.seeds[begun:look])
            wanted += [trial for trial in block if trial.cell.key == BASELINE.key or trial.cell.key in open_]
            if any(trial.key not in outcomes for trial in wanted):
                break
            begun, open_ = look, self._open_after(look, outcomes)
            if not open_:
                break
        return tuple(wanted)

    def _open_after(self, look: int, outcomes: Outcomes) -> set[str]:
        """Return the keys of the arms that go on after so many seeds."""
        settings, controls, known = self._settings, self._controls, self._chosen.directions
        value_CS = objectives(outcomes, "confirm", [BASELINE, *settings, *controls], self._chosen.seeds[:look])
        split = 1 + len(settings)
        open_arms = still_open(
            value_CS[0],
            Arms(
                value_CS[1:split],
                [known.get(cell.key, "lower") for cell in settings],
                marked=[cell.mark is not None for cell in settings],
            ),
            Arms(
                value_CS[split:],
                [known[cell.key] for cell in controls if cell.key in known],
                rivals=[cell.dispersion.lam == 0 and cell.key in known for cell in controls],
            ),
            self._judging,
        )
        return {settings[k].key for k in open_arms.settings} | {controls[m].key for m in open_arms.controls}


def objectives(outcomes: Outcomes, stage: Stage, cells: Sequence[Cell], seeds: Sequence[int]) -> Matrix:
    """Return the objectives of trials, [C, S]; NaN where there is none."""
    keys = [[TrialSpec(stage=stage, cell=cell, seed=seed).key for seed in seeds] for cell in cells]
    return np.array([[outcomes.get(key) for key in row] for row in keys], dtype=np.float64)
