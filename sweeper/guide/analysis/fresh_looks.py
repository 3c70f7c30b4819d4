"""The fresh seeds in order: after how many each finalist was judged, and what the screen says about noise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sweeper.guide.analysis.stage_table import Evidence, Matrix, StageTable
from sweeper.records import BASELINE_KEY, FINAL_STATES
from sweeper.statistics.error_budget import OBJECTIVE_ALPHA
from sweeper.statistics.look_families import equivalence_of
from sweeper.statistics.looks import Ending, Judging, PairedInLooks, Prior, endings, log_ratios, prior_of_screen
from trainer.recipe import Better


def looks_of(known: Evidence, fresh: StageTable) -> tuple[int, ...]:
    """Return after how many fresh seeds finalists are judged: the study's looks, or once, after all of them."""
    return known.looks or (len(fresh.seeds),)


def fresh_differences(known: Evidence, fresh: StageTable, key: str, metric: str, against: str = BASELINE_KEY) -> Matrix:
    """Return an arm's log differences to another arm in the order in which seeds came, [S], as `endings` takes them.

    NaN where the arm did not run or has not ended; else see `log_ratios`.
    """
    scores, own = fresh.scores(metric), fresh.row[key]
    states = [trial.state if trial else None for trial in fresh.trials[own]]
    failed_S = np.array([state in ("diverged", "failed") for state in states])
    difference_S = log_ratios(scores[own], scores[fresh.row[against]], failed_S)
    difference_S[[state not in FINAL_STATES for state in states]] = np.nan
    return np.asarray(difference_S[fresh_order(known, fresh)])


def fresh_order(known: Evidence, fresh: StageTable) -> list[int]:
    """Return the columns of the fresh seeds in the order in which they came."""
    place = {seed: at for at, seed in enumerate(known.fresh_seeds)}
    return sorted(range(len(fresh.seeds)), key=lambda at: (place.get(fresh.seeds[at], len(place)), at))


def settings_endings(
    known: Evidence, fresh: StageTable, settings: Sequence[str], directions: Sequence[Better]
) -> dict[str, Ending]:
    """Return how each setting stands in the objective after its looks."""
    if not settings:
        return {}
    difference_KS = np.stack([fresh_differences(known, fresh, key, known.objective) for key in settings])
    marked = [bool(known.cells[key].mark) for key in settings]
    confirm = known.study.confirm
    judging = Judging(
        looks_of(known, fresh),
        screen_prior(known, known.objective),
        least_noise(known, known.objective),
        equivalence_of(confirm.margin, len(fresh.keys) - 1) if confirm and confirm.equivalence else None,
    )
    ended = endings(difference_KS, directions, judging, OBJECTIVE_ALPHA, marked)
    return dict(zip(settings, ended, strict=True))


def screen_prior(known: Evidence, metric: str) -> Prior | None:
    """Return what the screen's settings say about the noise of a metric's differences; None without enough of them."""
    screen = known.stages.get("screen")
    if screen is None or BASELINE_KEY not in screen.row:
        return None
    logs = screen.logs(metric)
    rows = [screen.row[key] for key in screen.keys if known.cells[key].role == "grid"]
    return prior_of_screen(logs[rows], logs[screen.row[BASELINE_KEY]], least_noise(known, metric))


def least_noise(known: Evidence, metric: str) -> float:
    """Return the least noise of differences in a discrete metric: by the screen, or else by the stage there is."""
    return known.main.least_noise(metric) if known.main else 0.0


def paired(known: Evidence, fresh: StageTable, difference_S: Matrix, metric: str) -> PairedInLooks:
    """Return the test of an arm's differences in a metric, under the noise that the study has shown."""
    return PairedInLooks(difference_S, looks_of(known, fresh), screen_prior(known, metric), least_noise(known, metric))
