"""Studies in storms: `python -m tests.storm.storm --blows 50` strikes a small study again and again, kind by kind.

Each run is started, struck at a random moment between its first second and its last, and started again until the study
is done; then its record is held against an undisturbed one. The table goes to `reports/storm_<date>.md`. What was
counted is kept, a file a kind: the same command goes on, and two at once with other kinds share a machine's cores.
Run it in a clone that nobody edits; `disk full` and the two hosts need root.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from random import Random

from sweeper.ledger import has_undelivered, read_study
from sweeper.records import StudyRecord
from tests.e2e.workplace import Workplace, children
from tests.places import ROOT
from tests.storm.blows import STORMS, Storm, small_disk
from tests.storm.tally import Tally, compared, stored_keys
from trainer.runtime.files import write_whole

STUDY = ROOT / "studies" / "smoke.yaml"
WORK = ROOT / "build" / "storm"
BY_RAY = b"Failed to register worker to Raylet"
GONE_S = 60.0
CALM_S = 300.0
MOST_RUNS, MOST_BLOWS = 25, 6  # of one study
# Fresh seeds follow from a study's name, and every study of a storm has its own.
FRESH = ("--set", "confirm.seeds=[7, 8, 9]")


class Struck:
    """One study in a storm, named so that no other one on the storm's servers has its name."""

    def __init__(self, root: Path, name: str, storm: Storm, random: Random, whole_s: float) -> None:
        self._place, self._storm, self._random = Workplace(root / "ws", STUDY), storm, random
        self._place.name, self._whole_s, self._log = name, whole_s, root / "log"
        self._outbox = self._place.root / "studies" / name / "outbox.jsonl"
        self._tally, self._seen = Tally(), set[int]()
        self._store = storm.store or f"sqlite:///{self._place.root / 'optuna.db'}"
        self._tracking = storm.tracking or f"sqlite:///{self._place.root / 'mlflow.db'}"

    def run(self, whole: StudyRecord, most_blows: int) -> Tally:
        """Strike the study up to so many times and let it end; return what became of it."""
        begun = time.monotonic()
        for _ in range(MOST_RUNS):
            code = self._one_run(most_blows - self._tally.blows)
            self._tally.runs += 1
            if code == 0 and not has_undelivered(self._outbox):
                break
        else:
            self._tally.unexpected += 1
        tally, name = self._tally, self._place.name
        tally.add(compared(read_study(self._tracking, name), whole, self._outbox, stored_keys(self._store, name)))
        tally.unexpected += not (self._place.reports / name / "guide.md").exists()
        tally.left += self._left()
        tally.seconds = time.monotonic() - begun
        return tally

    def _one_run(self, blows: int) -> int:
        where = ["--store", self._store, "--tracking", self._tracking]
        named = [*FRESH, "--set", f"name={self._place.name}"]
        before = self._log.stat().st_size if self._log.exists() else 0
        with self._log.open("ab") as log:
            command = [*self._storm.prefix, *self._place._command(), *named, *self._storm.options]
            command += [*(where[:2] if self._storm.store else ()), *(where[2:] if self._storm.tracking else ())]
            run = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
            while blows > 0 and run.poll() is None:
                self._wait(run, self._random.uniform(0, self._whole_s))
                if run.poll() is None and self._storm.strike(self._place, run, self._random):
                    self._tally.blows += 1
                    blows -= 1
            code = self._ended(run)
        if code == 1 and BY_RAY in self._log.read_bytes()[before:]:
            self._tally.by_ray += 1
        elif code not in self._storm.ends | {0}:
            self._tally.unexpected += 1
            print(f"  exit code {code}; see {self._log}", flush=True)
        return code

    def _wait(self, run: subprocess.Popen[bytes], seconds: float) -> None:
        until = time.monotonic() + seconds
        while run.poll() is None and time.monotonic() < until:
            self._seen |= {pid for pid, _ in children(run.pid)}
            time.sleep(0.2)

    def _ended(self, run: subprocess.Popen[bytes]) -> int:
        self._wait(run, CALM_S)
        if run.poll() is None:
            run.kill()
        return run.wait()

    def _left(self) -> int:
        """Count what outlived the study: its processes, and tracebacks in what it printed."""
        until = time.monotonic() + GONE_S
        while (alive := [pid for pid in self._seen if _lives(pid)]) and time.monotonic() < until:
            time.sleep(1)
        self._tally.unexpected += self._log.read_bytes().count(b"Traceback (most recent")
        return len(alive)


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except OSError:
        return False


def undisturbed(root: Path) -> tuple[StudyRecord, float]:
    """Run the study alone; return its record and the seconds it took."""
    place, begun = Workplace(root, STUDY), time.monotonic()
    done = place.run(*FRESH)
    assert done.returncode == 0, done.stderr
    return place.record(), time.monotonic() - begun


def strike_all(kind: str, blows: int, seed: int, whole: StudyRecord, whole_s: float, cache: Path) -> None:
    """Strike studies until there were so many blows, those of earlier calls included."""
    with STORMS[kind]() as storm:
        while (total := counted(kind)).blows < blows:
            number = int(total.studies)
            with tempfile.TemporaryDirectory(prefix="storm-") as folder, contextlib.ExitStack() as stack:
                root = Path(folder)
                if storm.small_disk:
                    stack.enter_context(small_disk(root / "ws"))
                shutil.copytree(cache, root / "ws" / "cache", dirs_exist_ok=True)
                one = Struck(root, f"storm-{number}", storm, Random(f"{seed}.{kind}.{number}"), whole_s)
                found = one.run(whole, min(MOST_BLOWS, blows - total.blows))
                if not found.clean:
                    kept = work_file(kind).with_suffix(f".{number}.log")
                    shutil.copy(root / "log", kept)
                    print(f"  {kind} {number}: {asdict(found)}; what it printed is in {kept}", flush=True)
                total.add(found)
            write_whole(work_file(kind), json.dumps({"revision": revision(), **asdict(total)}))


def work_file(kind: str) -> Path:
    """Return where a kind's counts are kept."""
    return WORK / f"{kind.translate(str.maketrans(' ()', '-__', ','))}.json"


def counted(kind: str) -> Tally:
    """Return what was counted of a kind so far."""
    kept = json.loads(work_file(kind).read_text()) if work_file(kind).exists() else {}
    return Tally(**{name: value for name, value in kept.items() if name != "revision"})


def revision() -> str:
    """Return the commit that is struck."""
    asked = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--exclude=*"]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()


def table(kinds: list[str], seed: int, blows: int) -> str:
    """Write the table of a storm as markdown, and name the kinds that were struck less often than `blows` times."""
    names = list(asdict(Tally()))
    lines = [
        f"# Studies in storms, {datetime.date.today()}",
        "",
        f"`python -m tests.storm.storm --seed {seed}` on {os.cpu_count()} cores ({platform.machine()}),",
        "studies/smoke.yaml: each run is struck at a random moment, and started again until the study is done. `lost`",
        "to `unexpected` must be 0: `tests/storm/tally.py` says what they count.",
        "",
        "| storm | revision | " + " | ".join(names) + " |",
        "|---|---|" + "---|" * len(names),
    ]
    for kind in kinds:
        struck = json.loads(work_file(kind).read_text())["revision"]
        cells = [f"{value:.0f}" for value in asdict(counted(kind)).values()]
        lines.append(f"| {kind} | {struck} | " + " | ".join(cells) + " |")
    if open_kinds := [kind for kind in STORMS if kind not in kinds or counted(kind).blows < blows]:
        lines += ["", f"Not struck {blows} times yet: {', '.join(open_kinds)}. The same command goes on with them."]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the storms that are not done yet, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blows", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", choices=list(STORMS), default=list(STORMS))
    parser.add_argument("--out", type=Path, default=ROOT / "reports")
    parser.add_argument("--fresh", action="store_true", help="forget what earlier calls have counted of these kinds")
    given = parser.parse_args()
    WORK.mkdir(parents=True, exist_ok=True)
    for kind in given.only if given.fresh else ():
        work_file(kind).unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="storm-") as folder:
        whole, _ = undisturbed(Path(folder) / "first")  # trains the extractor
        cache = Path(folder) / "first" / "cache"
        shutil.copytree(cache, Path(folder) / "calm" / "cache")
        again, whole_s = undisturbed(Path(folder) / "calm")
        assert not compared(again, whole, Path(folder) / "none", [trial.spec.key for trial in whole.trials]).changed
        for kind in given.only:
            print(f"{kind} ...", flush=True)
            strike_all(kind, given.blows, given.seed, whole, whole_s, cache)
            print(f"{kind}: {asdict(counted(kind))}", flush=True)
    struck = [kind for kind in STORMS if work_file(kind).exists()]
    path = given.out / f"storm_{datetime.date.today()}.md"
    path.write_text(table(struck, given.seed, given.blows), encoding="utf-8")
    print(path)
    sys.exit(not all(counted(kind).clean for kind in struck))


if __name__ == "__main__":
    main()
