"""Simulate screens and measure what the response surface says: `python -m tests.simulation.surface --studies 300`.

The table goes to `reports/surface_<date>.md`. A study depends on its world, its number and the seed alone. Worlds that
are finished are kept in a work file and the table is written after each; the same command continues from there, unless
the code has changed since.

A world is one of `tests.simulation.worlds` on its grid of 6 blocks and 5 taus, or `smooth`: 4 blocks, 4 lambdas and 3
taus, log FID a parabola in log lambda and log tau whose best lambda falls with tau, plus a step a block, from 3 sd
below to 3 sd above the baseline; `smooth-block` has noise that cells of one block and seed share (correlation .6);
`smooth-random` draws 40 settings at random,
`smooth-few` has 8 lambdas alone. After half of the budget a setting stops that is behind the second best by
more than three standard errors on the seeds' mean; its end is not measured. `further`: lambda 0 has further seeds.
"""

from __future__ import annotations

import argparse
import datetime
import gc
import os
import platform
import sys
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sweeper.statistics.moments import moments
from sweeper.statistics.response_surface import Costs, Knobs, Screen, Surface, costs, fit_surface
from tests.places import ROOT
from tests.simulation import worlds
from tests.simulation.finished import Finished, digest
from tests.simulation.worlds import SD, Array, Scenario

MARGIN = float(np.log1p(0.05))
SAFE = 0.9
FURTHER = 14  # seeds of lambda 0: with the three shared ones the square root of 30 settings times theirs
WORLDS = (
    *("null normal", "additive normal", "interaction normal", "all-worse normal"),
    *("one-better-3 normal", "interaction unequal", "additive baseline-2sd", "interaction t3"),
    *("additive normal further", "additive baseline-2sd further"),
    *("smooth-few normal", "smooth normal", "smooth-block normal", "smooth-random normal"),
)


class Study(NamedTuple):
    """A screen with its truth: `place_CK` lays the settings out, `effect_C` is log FID to the baseline."""

    screen: Screen
    effect_C: Array
    place_CK: Array
    crossed: tuple[tuple[int, int], ...]

    @property
    def stopped(self) -> worlds.Mask:
        """Which settings have no end."""
        return ~np.isfinite(self.screen.y_CS).any(axis=1)


def draw(name: str, rng: np.random.Generator) -> Study:
    """Draw a study of a world."""
    surface, noise, *more = name.split()
    if surface.startswith("smooth"):
        return _smooth(surface, rng)
    scenario = Scenario(surface, noise, 5)  # type: ignore[arg-type]
    truth = worlds.world(scenario, rng)
    shared = worlds.SCREEN_SEEDS
    stage = worlds.stage(scenario, truth, shared + (FURTHER if more else 0), rng)
    place_CK = np.array(list(product(np.linspace(0, 1, worlds.BLOCKS), np.linspace(0, 1, worlds.TAUS))))
    half_CS, end_CS = (values[:-1, :shared] for values in (stage.half_CS, stage.end_CS))
    raced = _raced(half_CS, end_CS, truth.effect_C[1:-1], place_CK, ())
    return raced._replace(screen=_with_further(raced.screen, stage.end_CS[0, shared:]))


def _with_further(screen: Screen, further_S: Array) -> Screen:
    """Add what the baseline was on seeds of its own."""
    nothing_CS = np.full((len(screen.y_CS), len(further_S)), np.nan)
    early_CS = None if screen.early_CS is None else np.hstack([screen.early_CS, nothing_CS])
    return Screen(np.hstack([screen.y_CS, nothing_CS]), np.concatenate([screen.baseline_S, further_S]), early_CS)


def _smooth(surface: str, rng: np.random.Generator) -> Study:
    grid = np.array(list(product(np.linspace(0, 1, 4), np.linspace(0, 1, 4), np.linspace(0, 1, 3))))
    if surface == "smooth-few":
        grid = np.column_stack([np.zeros(8), np.linspace(0, 1, 8), np.full(8, 0.5)])
    if surface == "smooth-random":
        grid = np.column_stack([rng.integers(4, size=40) / 3, rng.random((40, 2))])
    steps = np.cumsum(rng.uniform(0, 1, 4)) * rng.choice([-1, 1])
    block, lam, tau = grid.T
    best = rng.uniform(0.1, 0.9) - 0.4 * (tau - 0.5)
    effect = 4 * (lam - best) ** 2 + rng.uniform(0, 2) * (tau - rng.random()) ** 2
    effect = effect + 0.6 * steps[np.round(3 * block).astype(int)]
    effect = SD * (-3 + 6 * (effect - effect.min()) / np.ptp(effect))
    effect_C = np.concatenate([[0.0], effect])
    own = rng.standard_normal((len(effect_C), 3))
    if surface == "smooth-block":
        of_block = np.concatenate([[4], np.round(3 * block).astype(int)])
        own = 0.6**0.5 * rng.standard_normal((5, 3))[of_block] + 0.4**0.5 * own
    end_CS = effect_C[:, None] + SD * 0.5**0.5 * (rng.standard_normal(3) + own)
    again = rng.standard_normal(end_CS.shape)
    half_CS = worlds.HALF_LEVEL + 0.8 * effect_C[:, None] + 0.7 * (end_CS - effect_C[:, None]) + 0.7 * SD * again
    if surface == "smooth-few":
        return _raced(half_CS, end_CS, effect, grid[:, [1]], ())
    return _raced(half_CS, end_CS, effect, grid, ((1, 2),))


def _raced(
    half_CS: Array, end_CS: Array, effect_C: Array, place_CK: Array, crossed: tuple[tuple[int, int], ...]
) -> Study:
    mean_C = half_CS[1:].mean(axis=1)
    behind = mean_C - np.sort(mean_C)[1] > 3 * SD * (2 / half_CS.shape[1]) ** 0.5
    y_CS = np.where(behind[:, None], np.nan, end_CS[1:])
    return Study(Screen(y_CS, end_CS[0], half_CS[1:]), effect_C, place_CK, crossed)


def figures(study: Study, number: int) -> Counter[str]:
    """Return what one study adds to its world's figures."""
    knobs = Knobs(study.place_CK, (True,) * study.place_CK.shape[1], study.crossed)
    with_early = fit_surface(study.screen, knobs, number)
    without = fit_surface(study.screen._replace(early_CS=None), knobs, number)
    if with_early is None or without is None:
        return Counter({"none": 1})
    found = Counter({"studies": 1})
    _bands(found, study, with_early, without)
    _chosen(found, study, with_early)
    _safe(found, study, with_early)
    return found


def _bands(found: Counter[str], study: Study, surface: Surface, without: Surface) -> None:
    finished, stopped = (np.flatnonzero(mask) for mask in (~study.stopped, study.stopped))
    found["stopped"] += len(stopped)
    for name, one in (("early", surface), ("without", without)):
        low, high = one.band(finished)
        truth = study.effect_C[finished]
        found[f"band_{name}"] += bool(((low <= truth) & (truth <= high)).all())
        found[f"width_{name}"] += float((high - low).mean()) / 2 / SD
        if len(stopped):
            low, high = one.band(stopped)
            truth = study.effect_C[stopped]
            found[f"held_{name}"] += int(((low <= truth) & (truth <= high)).sum())
            found[f"error_{name}"] += float(np.abs(one.mean[stopped] - truth).sum()) / SD
    best = min(0.0, float(study.effect_C.min()))
    near, true = surface.near_best(slice(None), MARGIN), study.effect_C - best <= MARGIN
    found["near"] += int((near >= SAFE).sum())
    found["near_true"] += int(true[near >= SAFE].sum())
    found["near_p"] += float(near[near >= SAFE].sum())


def _chosen(found: Counter[str], study: Study, surface: Surface) -> None:
    effect_C, best = study.effect_C, int(study.effect_C.argmin())
    by_mean = np.argsort(np.nan_to_num(moments(study.screen.y_CS).mean, nan=np.inf))
    by_surface = np.argsort(surface.mean)
    found["regret_mean"] += float(effect_C[by_mean[0]] - effect_C[best]) / SD
    found["regret_surface"] += float(effect_C[by_surface[0]] - effect_C[best]) / SD
    third = next(int(cell) for cell in by_mean if cell not in by_surface[:2])
    chosen = {"mean": by_mean[:3], "surface": by_surface[:3], "both": [*by_surface[:2], third]}
    for name, three in chosen.items():
        found[f"best_{name}"] += best in three
        found[f"lost_{name}"] += float(effect_C[list(three)].min() - effect_C[best]) / SD


def _safe(found: Counter[str], study: Study, surface: Surface) -> None:
    """Count safe ranges as the heuristics table has them: around the setting to use, or averaged over all."""
    use = int(surface.mean.argmin())
    for knob, place_C in enumerate(study.place_CK.T):
        others = np.delete(study.place_CK, knob, axis=1)
        line = np.flatnonzero((others == others[use]).all(axis=1))
        if len(line) > 1:
            levels = [np.array([point]) for point in line]
            reference = int(np.flatnonzero(line == use)[0])
            truth = study.effect_C[line] - study.effect_C[use]
            _count(found, "around", costs(surface, levels, reference, MARGIN), truth)
        levels = [np.flatnonzero(place_C == place) for place in np.unique(place_C)]
        if len(levels) <= worlds.BLOCKS:
            truth = np.array([study.effect_C[level].mean() for level in levels])
            _count(found, "average", costs(surface, levels, None, MARGIN), truth)


def _count(found: Counter[str], name: str, seen: Costs, truth: Array) -> None:
    safe = seen.within_L >= SAFE
    found[f"{name}_levels"] += len(truth)
    found[f"{name}_safe"] += int(safe.sum())
    found[f"{name}_right"] += int((truth[safe] <= MARGIN).sum())
    found[f"{name}_hurts"] += int((seen.low_L > 0).sum())
    found[f"{name}_hurts_right"] += int((truth[seen.low_L > 0] > 0).sum())
    found[f"{name}_rows"] += 1
    found[f"{name}_covered"] += bool(((seen.low_L <= truth + 1e-12) & (truth <= seen.high_L + 1e-12)).all())


def simulate(name: str, studies: int, seed: int) -> Counter[str]:
    """Return a world's figures, added up."""
    total: Counter[str] = Counter()
    for number in range(studies):
        rng = np.random.default_rng([seed, zlib.crc32(name.encode()), number])
        total.update(figures(draw(name, rng), number))
    return total


COLUMNS = (
    "world", "band", "half width, sd", "without early rungs", "half width", "stopped a study", "in their band",
    "error, sd", "without early rungs", "error", "near the best: stated", "true", "settings a study",
    "regret, means", "regret, surface",
    "best of 3, means", "surface", "2 + 1", "safe around: levels", "true", "safe average: levels", "true",
    "interval around", "interval average", "hurts: true",
)  # fmt: skip


def row(name: str, found: Counter[str]) -> tuple[str, ...]:
    """Write a world's row."""

    def rate(part: str, whole: str, digits: int = 0) -> str:
        return f"{100 * found[part] / found[whole]:.{digits}f} %" if found[whole] else "-"

    def each(part: str, whole: str = "studies") -> str:
        return f"{found[part] / found[whole]:.2f}" if found[whole] else "-"

    return (
        name, rate("band_early", "studies", 1), each("width_early"), rate("band_without", "studies", 1),
        each("width_without"), each("stopped"), rate("held_early", "stopped"), each("error_early", "stopped"),
        rate("held_without", "stopped"), each("error_without", "stopped"), rate("near_p", "near"),
        rate("near_true", "near"), each("near"), each("regret_mean"), each("regret_surface"),
        rate("best_mean", "studies"), rate("best_surface", "studies"), rate("best_both", "studies"),
        rate("around_safe", "around_levels"), rate("around_right", "around_safe"),
        rate("average_safe", "average_levels"), rate("average_right", "average_safe"),
        rate("around_covered", "around_rows", 1), rate("average_covered", "average_rows", 1),
        rate("average_hurts_right", "average_hurts", 1),
    )  # fmt: skip


def page(known: dict[str, Counter[str]], provenance: Iterator[str]) -> str:
    """Write the table, of as many worlds as are finished."""
    rows = [COLUMNS, ("---",) * len(COLUMNS), *(row(name, found) for name, found in known.items())]
    table = "\n".join(f"| {' | '.join(one)} |" for one in rows)
    return "\n\n".join(["# The response surface, simulated", HEAD, table, *provenance]) + "\n"


HEAD = """Screens with a known truth, three seeds a setting; one trial's noise is 8 % (1 sd).

- *band*: studies whose 95 % band holds the truth of every setting that finished, all at once.
- *in their band*: of the settings that were stopped, how many have their truth in the band, and how far the surface is
  off; informed by their early rung, or by the other settings alone.
- *near the best*: settings stated to lie within 5 % of the best at 90 % or more; the mean of what was stated,
  and how many do.
- *regret*: by how much the setting with the lowest mean, or the lowest surface, is worse than the best, in sd.
- *best of 3*: studies whose best setting is among three candidates: the lowest means, the lowest of the surface, or two
  from the surface and the lowest mean that is left.
- *safe*: levels stated to cost at most 5 % at 90 % or more, and how many do: one knob moved away from the setting
  to use, or a level's average over the grid against lambda 0. *interval*: rows whose intervals hold, all of a
  row at once.
- *hurts*: of level averages whose interval lies above lambda 0, how many do hurt.

Worlds are described in `tests/simulation/surface.py`."""


def finished_under(path: Path, studies: int, seed: int) -> Finished:
    """Return what is finished with this code, this seed and this many studies."""
    code = digest([ROOT / "sweeper" / "statistics", Path(worlds.__file__), Path(__file__)])
    return Finished(path, {"studies": studies, "seed": seed, "code": code})


def main() -> None:
    """Simulate world after world; write the table after each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=300, help="studies a world")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("reports"), help="where the table goes")
    parser.add_argument("--work", type=Path, default=Path(".sweeper/surface.jsonl"), help="finished worlds")
    parser.add_argument("--only", default="", help="worlds whose name holds this")
    given, began = parser.parse_args(), time.monotonic()
    gc.freeze()
    finished = finished_under(given.work, given.studies, given.seed)
    known = finished.load()
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    given.out.mkdir(parents=True, exist_ok=True)
    for name in (one for one in WORLDS if given.only in one):
        if name not in known:
            known[name] = simulate(name, given.studies, given.seed)
            finished.add(name, known[name])
        minutes = (time.monotonic() - began) / 60
        print(f"{name} after {minutes:.1f} min: {row(name, known[name])}", file=sys.stderr, flush=True)
        text = page(known, _provenance(finished, minutes))
        (given.out / f"surface_{today}.md").write_text(text)


def _provenance(finished: Finished, minutes: float) -> Iterator[str]:
    yield (
        f"{finished.under['studies']} studies a world, seed {finished.under['seed']}, code {finished.under['code']}; "
        f"Python {platform.python_version()}, numpy {np.__version__}, {os.cpu_count()} cores, one process, "
        f"{minutes:.0f} min."
    )


if __name__ == "__main__":
    main()
