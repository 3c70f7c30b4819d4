"""Damaged study files and workspaces, each through the real commands: one line and an exit code, and nothing half made.

`python -m tests.storm.mutants 20000 studies`, or `2000 workspaces`; a seed as the third argument. Prints every failure
and exits 1 where there was one.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence, Set
from pathlib import Path
from typing import NamedTuple
from unittest import mock

from sweeper import cli
from sweeper.ledger import Ledger
from sweeper.planning.trials import screen_trials
from sweeper.records import Rung
from sweeper.search import Search
from sweeper.study.registration import Registration
from sweeper.study.yaml_files import read_study
from sweeper.workspace import Workspace
from tests.places import ROOT
from tests.sweeper.guide.study_records import FACTS, make_record

STUDY = ROOT / "studies" / "smoke.yaml"
OVER_S = 2.0  # that damaged input may take longer than good input
CODES = {0, 2, 3, 4, 5}  # 1, of these commands, is a fault of ours
PIECES = [
    b"", b"\x00", b"\xff\xfe", b"[", b"]", b"{", b"}", b": ", b"- ", b"\n", b"\t", b"&a ", b"*a", b"!!int ", b"'", b'"',
    b"~", b".nan", b".inf", b"-1", b"0", b"1e999", b"9" * 30, b"true", b"null", b"all", b"../..", b"<x>",
]  # fmt: skip


class Failure(NamedTuple):
    """A mutant that was not answered as it should be: which, by which command, and how."""

    number: int
    command: str
    says: str


def mutated(given: bytes, rng: random.Random) -> bytes:
    """Damage a file as editors, disks and people do: pieces put in, bytes flipped, lines lost, doubled, moved, cut."""
    for _ in range(rng.randint(1, 3)):
        at, lines = rng.randrange(len(given) + 1), given.splitlines(keepends=True)
        match rng.randrange(7):
            case 0:
                given = given[:at] + rng.choice(PIECES) + given[at + rng.choice([0, 0, 1, 4, 30]) :]
            case 1:
                given = given[:at]
            case 2:
                given = given[:at] + bytes([rng.randrange(256)]) + given[at + 1 :]
            case 3 if lines:
                lines.insert(rng.randrange(len(lines)), rng.choice(lines))
                given = b"".join(lines)
            case 4 if lines:
                del lines[rng.randrange(len(lines))]
                given = b"".join(lines)
            case 5 if lines:
                rng.shuffle(lines)
                given = b"".join(lines)
            case _:
                words = given.split(b" ")
                words[rng.randrange(len(words))] = rng.choice(PIECES)
                given = b" ".join(words)
    return given


def studies(count: int, folder: Path, seed: int = 0, over_s: float = OVER_S) -> Iterator[Failure]:
    """Yield the mutants of the shipped studies on which a command fails, or takes so much longer than on good input."""
    texts = [path.read_bytes() for path in sorted((ROOT / "studies").glob("*.yaml"))]
    try_one = Trier(folder, over_s)
    for number in range(count):
        rng = random.Random(f"{seed} {number}")
        content = mutated(rng.choice(texts), rng)
        command = ("check", "status", "report", "export")[number % 4]

        def place(root: Path, content: bytes = content) -> None:
            (root / "mutant.yaml").write_bytes(content)

        yield from try_one(number, [command, "mutant.yaml"], place)


def workspaces(count: int, folder: Path, seed: int = 0, over_s: float = OVER_S) -> Iterator[Failure]:
    """Yield the mutants of a workspace in use on which a command fails, or takes so much longer than on good input."""
    whole = folder / "whole"
    make_workspace(whole)
    files = sorted(path.relative_to(whole) for path in whole.rglob("*") if path.is_file() and path.stat().st_size)
    try_one = Trier(folder, over_s)
    for number in range(count):
        rng = random.Random(f"{seed} {number}")
        file = rng.choice(files)
        content = mutated((whole / file).read_bytes(), rng)
        command = ("status", "report", "export")[number % 3]

        def place(root: Path, file: Path = file, content: bytes = content) -> None:
            shutil.copy(STUDY, root / "smoke.yaml")
            shutil.copytree(whole, root / ".sweeper")
            (root / ".sweeper" / file).write_bytes(content)

        yield from try_one(number, [command, "smoke.yaml"], place, {"reports"})


def make_workspace(root: Path) -> None:
    """Make the workspace of a study that was stopped: registered, half searched, half recorded."""
    study, workspace = read_study(STUDY), Workspace(root)
    registration = Registration.of(study, root)
    with workspace.lock(study.name):
        workspace.register(registration)
        search = Search(workspace.store_url, study, "screen", screen_trials(study))
        ledger = Ledger(
            workspace.tracking_uri, workspace.artifacts, workspace.outbox(study.name), study.name, at_once=False
        )
        ledger.study_opened(study, make_record(study, ()).provenance)
        for spec in search.claim(2):
            ledger.trial_started(spec, 1)
            ledger.rung(spec, Rung(step=15, metrics={"fid_250": 40.0}), FACTS)
        search.close()
        ledger._outbox.close()  # its events stay where they are: nothing waits for MLflow here


class Trier:
    """Tries commands, each in a folder of its own: MLflow remembers a database by its path, whatever lies there now."""

    def __init__(self, folder: Path, over_s: float) -> None:
        self._folder, self._over_s = folder, over_s
        self._good_s = good_seconds() if math.isfinite(over_s) else Counter[str]()

    def __call__(
        self, number: int, arguments: Sequence[str], place: Callable[[Path], object], allowed: Set[str] = frozenset()
    ) -> Iterator[Failure]:
        """Yield how a command fails on the input that `place` puts there, beside which it may leave what is allowed."""
        command, limit_s = " ".join(arguments), self._good_s[arguments[0]] + self._over_s
        took, code, told, left = self._try(arguments, place)
        if took > limit_s:  # so might good input be, where other programs take the cores: once more
            took = min(took, self._try(arguments, place)[0])
        if "Traceback" in told or code not in CODES:
            yield Failure(number, command, f"exit {code}: {told[-600:]}")
        if took > limit_s:
            yield Failure(number, command, f"took {took:.1f} s, good input {self._good_s[arguments[0]]:.1f} s")
        if left - allowed:
            yield Failure(number, command, f"left {sorted(left - allowed)}")

    def _try(self, arguments: Sequence[str], place: Callable[[Path], object]) -> tuple[float, int, str, set[str]]:
        with tempfile.TemporaryDirectory(dir=self._folder) as own:
            root = Path(own)
            place(root)
            placed = {path.name for path in root.iterdir()}
            return *_timed(arguments, root), {path.name for path in root.iterdir()} - placed


def good_seconds() -> dict[str, float]:
    """Return how long each command takes on a study in use, once what it needs is imported."""
    found = {}
    for command in ("check", "status", "report", "export") * 2:
        with tempfile.TemporaryDirectory() as folder:
            make_workspace(Path(folder) / ".sweeper")
            shutil.copy(STUDY, Path(folder) / "smoke.yaml")
            found[command], code, told = _timed([command, "smoke.yaml"], Path(folder))
            assert code == 0, told
    return found


def _timed(arguments: Sequence[str], folder: Path) -> tuple[float, int, str]:
    begun = time.monotonic()
    code, told = _run(arguments, folder)
    return time.monotonic() - begun, code, told


def _run(arguments: Sequence[str], folder: Path) -> tuple[int, str]:
    told, before = io.StringIO(), Path.cwd()
    os.chdir(folder)
    try:
        with (
            mock.patch.object(sys, "argv", ["sweeper", *arguments]),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(told),
        ):
            cli.main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0, told.getvalue()
    finally:
        os.chdir(before)
    return 0, told.getvalue()


KINDS: dict[str, Callable[..., Iterator[Failure]]] = {"studies": studies, "workspaces": workspaces}


def main(count: int, kind: str, seed: int = 0) -> int:
    """Try so many mutants; return 1 where a command failed on one."""
    with tempfile.TemporaryDirectory() as folder:
        failures = 0
        for failure in KINDS[kind](count, Path(folder), seed):
            failures += 1
            print(f"{failure.number} {failure.command}: {failure.says}", flush=True)
    print(f"{count} mutants of {kind}, {failures} failures")
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 0))
