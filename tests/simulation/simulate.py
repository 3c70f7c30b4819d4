"""Simulate whole studies and measure what their guides say: `python -m tests.simulation.simulate --studies 4000`.

The table goes to `reports/simulation_<date>.md`. A study depends on its scenario, its number and the seed alone, so the
number of workers cannot matter. Finished scenarios are kept in a work file; `--resume` continues from there, unless
the code that is simulated has changed since.
"""

from __future__ import annotations

import argparse
import datetime
import gc
import multiprocessing
import os
import platform
import shlex
import subprocess
import sys
import time
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from importlib.metadata import version
from itertools import product
from pathlib import Path

import numpy as np

from sweeper.guide.assemble import assemble_guide
from tests.places import ROOT
from tests.simulation import ledgers, pruning, tables
from tests.simulation.finished import Finished, digest
from tests.simulation.measures import Figures, Side, measure, measure_transfer
from tests.simulation.worlds import FRESH, LOOKED, MAIN, NOISES, POWER, UNEVEN, Scenario, world

CHUNK = 50
SIMULATED = ("guide", "planning", "search", "statistics", "study", "text", "records.py")
WORLD_FILES = ("worlds.py", "ledgers.py", "measures.py", "simulate.py")


def scenarios() -> list[Scenario]:
    """Return what the table has: every surface in every noise and number of seeds, and power at five seeds.

    Then looks: every surface in two noises, no effect in all, power; and noise that is not symmetric.
    """
    main = [Scenario(*at) for at in product(MAIN, NOISES, FRESH)]
    power = [Scenario(*at) for at in product(POWER[:3], NOISES, (5,))]
    looked = [Scenario(*at) for at in product(MAIN, ("normal", "unequal"), (20,))]
    looked += [Scenario("null", noise, 20) for noise in NOISES if noise not in ("normal", "unequal")]
    looked += [Scenario(*at) for at in product(("null", *POWER), ("normal",), LOOKED)]
    looked += [Scenario(surface, "normal", 8) for surface in POWER]
    looked += [Scenario(*at) for at in product(("control-3",), ("normal", "unequal"), (5, 12))]
    uneven = [Scenario(*at) for at in product(("null", "one-better-3"), UNEVEN, (*FRESH, 20))]
    return list(dict.fromkeys([*main, *power, Scenario("scale-stable", "normal", 5), *looked, *uneven]))


def begin() -> None:
    """Make a worker ready."""
    # multipletests (statsmodels 0.15) collects garbage at every call: .1 s over all that has been imported.
    gc.freeze()


def simulate(scenario: Scenario, numbers: Iterable[int], seed: int) -> Figures:
    """Run these studies of a scenario and add up their figures."""
    total = Figures()
    for number in numbers:
        try:
            total.update(study(scenario, number, seed))
        except Exception as error:
            error.add_note(f"in study {number} of {scenario}, seed {seed}")
            raise
    return total


def sides(scenario: Scenario, number: int, seed: int, surface: bool = False) -> list[Side]:
    """Run a study, and the one on another scale that belongs to it; they depend on what is given alone."""
    rng = np.random.default_rng([seed, zlib.crc32(repr(scenario).encode()), number])
    made: list[Side] = []
    for depth in ledgers.DEPTHS[: 1 + scenario.paired]:
        plan, truth = ledgers.design(scenario.seeds, depth), world(scenario, rng, other_scale=bool(made))
        guide = assemble_guide(ledgers.record(scenario, truth, plan, number, rng), surface=surface)
        made.append(Side(truth, plan, guide))
    return made


def study(scenario: Scenario, number: int, seed: int) -> Figures:
    """Return the figures of one study."""
    made = sides(scenario, number, seed)
    found = measure(scenario, made[0])
    if scenario.paired:
        found.update(measure_transfer(*made))
    return found


def run(
    asked: Sequence[Scenario], studies: int, seed: int, pool: ProcessPoolExecutor
) -> Iterator[tuple[Scenario, Figures]]:
    """Simulate scenarios side by side; yield each when it is finished."""
    parts: dict[Scenario, dict[int, Figures]] = defaultdict(dict)
    firsts = range(0, studies, CHUNK)
    pending: dict[Future[Figures], tuple[Scenario, int]] = {
        pool.submit(simulate, scenario, range(first, min(first + CHUNK, studies)), seed): (scenario, first)
        for scenario, first in product(asked, firsts)
    }
    for done in as_completed(pending):
        scenario, first = pending[done]
        parts[scenario][first] = done.result()
        if len(parts[scenario]) == len(firsts):
            total = Figures()
            for start in firsts:
                total.update(parts[scenario].pop(start))
            yield scenario, total


def finished_under(path: Path, studies: int, seed: int) -> Finished:
    """Return what is finished with this code, this seed and this many studies."""
    return Finished(path, {"studies": studies, "seed": seed, "code": fingerprint()})


def fingerprint() -> str:
    """Return a digest of all code that decides a figure."""
    files = [Path(__file__).with_name(name) for name in WORLD_FILES]
    return digest([*(ROOT / "sweeper" / name for name in SIMULATED), *files])


def _provenance(given: argparse.Namespace, wall_s: float, resumed: int) -> Iterator[tuple[str, str]]:
    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()

    dirty = " with uncommitted changes" if git("status", "--porcelain", "--", "sweeper", "tests") else ""
    yield "date", datetime.datetime.now(datetime.UTC).date().isoformat()
    yield "command", f"`python -m tests.simulation.simulate {shlex.join(sys.argv[1:])}`"
    yield "commit", f"{git('rev-parse', 'HEAD')}{dirty}, simulated code {fingerprint()}"
    yield "studies", f"{given.studies} a scenario, seed {given.seed}"
    names = ("numpy", "scipy", "statsmodels", "pydantic")
    yield "versions", ", ".join([f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in names)])
    again = f"; {resumed} scenarios were finished by an earlier run" if resumed else ""
    yield "machine", f"{os.cpu_count()} cores, {given.workers} workers of one thread, {wall_s / 60:.0f} min{again}"


def _only(written: str) -> list[Scenario]:
    """Return the scenarios that fit, e.g. 'surface=null,noise=t3,seeds=5'; several values of one are joined by '+'."""
    wished = dict(part.split("=") for part in written.split(",") if part)
    unknown = set(wished) - set(Scenario._fields)
    if unknown:
        raise SystemExit(f"--only knows {', '.join(Scenario._fields)}, not {', '.join(sorted(unknown))}")
    return [at for at in scenarios() if all(str(getattr(at, name)) in wish.split("+") for name, wish in wished.items())]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=4000, help="studies a scenario")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("reports"), help="where the table goes")
    parser.add_argument("--work", type=Path, default=Path(".sweeper/simulation.jsonl"), help="finished scenarios")
    parser.add_argument("--resume", action="store_true", help="continue from the work file")
    parser.add_argument("--only", default="", help="surface=null+additive,noise=t3,seeds=5: scenarios to simulate")
    parser.add_argument("--no-pruning", action="store_true", help="leave the pruner's rows out")
    return parser.parse_args()


def main() -> None:
    """Simulate, and write the table."""
    given, began = _arguments(), time.monotonic()
    # For the workers, which are started afresh: one thread each.
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    wished = _only(given.only)
    if not given.resume:
        given.work.unlink(missing_ok=True)
    finished = finished_under(given.work, given.studies, given.seed)
    kept = finished.load()
    known = {scenario: kept[str(scenario)] for scenario in wished if str(scenario) in kept}
    resumed = len(known)
    with ProcessPoolExecutor(given.workers, multiprocessing.get_context("spawn"), begin) as pool:
        pruned = None if given.no_pruning else pool.submit(pruning.pruning_rows, given.studies, given.seed)
        for scenario, figures in run([at for at in wished if at not in known], given.studies, given.seed, pool):
            finished.add(str(scenario), figures)
            known[scenario] = figures
            minutes = (time.monotonic() - began) / 60
            print(f"{len(known)} of {len(wished)} after {minutes:.1f} min: {scenario}", file=sys.stderr, flush=True)
        rows = pruned.result() if pruned else []
    provenance = _provenance(given, time.monotonic() - began, resumed)
    text = tables.page({at: known[at] for at in wished}, rows, provenance)
    given.out.mkdir(parents=True, exist_ok=True)
    file = given.out / f"simulation_{datetime.datetime.now(datetime.UTC).date().isoformat()}.md"
    file.write_text(text)
    print(file)


if __name__ == "__main__":
    main()
