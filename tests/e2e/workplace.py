"""Commands run as a user runs them, and what is done to their processes."""

import json
import os
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from sweeper.ledger import read_study
from sweeper.records import FINAL_STATES, StudyRecord
from sweeper.study.yaml_files import read_study as read_file

# -P, as the installed script has its own folder first on its path, and not the current one.
SWEEPER = [sys.executable, "-P", "-c", "from sweeper.cli import program; program()"]
SHADOWS = ("trainer.py", "ray.py", "sweeper.py", "mlflow/__init__.py", "optuna/__init__.py", "uvicorn/__init__.py")
PATIENCE_S = 180


class Workplace:
    """A study's workspace, and the commands run on it."""

    def __init__(
        self, root: Path, study: Path, here: Path | None = None, secrets: Mapping[str, str] | None = None
    ) -> None:
        """`here` is the folder commands are run in; the tests' own if not given. `secrets` are variables of theirs."""
        self.root, self.study, self.here = root, study, here
        self._environment = {**os.environ, **(secrets or {})}
        self.reports = root / "reports"
        self.name = read_file(study).name

    def run(self, *extra: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._command(*extra),
            cwd=self.here,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    def start(self) -> subprocess.Popen[bytes]:
        # A session of its own, so that what is sent reaches this run alone.
        return subprocess.Popen(
            self._command(),
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _command(self, *extra: str) -> list[str]:
        where = ["--workspace", str(self.root), "--reports", str(self.reports)]
        return [*SWEEPER, "run", str(self.study), "--yes", *where, *extra]

    def status(self) -> dict[str, object]:
        done = subprocess.run(
            [*SWEEPER, "status", str(self.study), "--json", "--workspace", str(self.root)],
            capture_output=True,
            text=True,
            check=True,
        )
        return json.loads(done.stdout)

    def record(self) -> StudyRecord:
        return read_study(f"sqlite:///{self.root / 'mlflow.db'}", self.name)

    def finished(self) -> int:
        """How many trials the search has finished."""
        return self._count("state in ('COMPLETE', 'PRUNED', 'FAIL')")

    def rungs(self) -> int:
        """How many rungs were reported, those of another metric than the rungs before them too."""
        apart = self._count("key like '% at step %'", table="trial_user_attributes")
        return apart + self._count("trial_id in (select trial_id from trials)", table="trial_intermediate_values")

    def _count(self, where: str, table: str = "trials") -> int:
        database = self.root / "optuna.db"
        if not database.exists():
            return 0
        try:
            with sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30) as connection:
                return int(connection.execute(f"select count(*) from {table} where {where}").fetchone()[0])
        except sqlite3.OperationalError:  # the tables are not there yet
            return 0


def is_complete(place: Workplace, screened: int, trials: int, says: tuple[str, ...]) -> None:
    """Assert that a study ran to its guide, with so many trials, none of them failed, and that the guide says this."""
    guide = (place.reports / place.name / "guide.md").read_text()
    assert [words for words in says if words not in guide] == []
    found = place.record().trials
    assert {trial.state for trial in found} <= FINAL_STATES - {"failed"}
    assert (sum(trial.spec.stage == "screen" for trial in found), len(found)) == (screened, trials)
    assert place.status()["agree"] is True


def shadowed(folder: Path) -> Path:
    """Return a folder with files of a user's that have the names of our modules, and fail when they are imported."""
    for name in SHADOWS:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"raise SystemExit('{name} of the current folder was imported')\n")
    return folder


def until(reached: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not reached():
        assert process.poll() is None, "the run ended before it could be disturbed"
        assert time.monotonic() < deadline, "the run did not get on"
        time.sleep(0.2)


def children(pid: int) -> Iterator[tuple[int, str]]:
    """Yield (pid, title) of all descendants of a process."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int(entry.joinpath("stat").read_text().rsplit(")", 1)[1].split()[1])
                title = entry.joinpath("cmdline").read_bytes().replace(b"\0", b" ").decode()
            except (OSError, IndexError):
                continue
            if parent == pid:
                yield int(entry.name), title
                yield from children(int(entry.name))


def scratch(pid: int) -> set[Path]:
    """Return the folders in which a run's Ray keeps sockets and logs, by the command lines of its processes."""
    return {Path(found) for _, title in children(pid) for found in re.findall(r"=(/\S+/sweeper-[^/\s]+)/r/", title)}


def until_gone(pid: int) -> None:
    deadline = time.monotonic() + 60
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.5)
    assert not Path(f"/proc/{pid}").exists()


def trial_figures(record: StudyRecord) -> dict[str, object]:
    """Every trial's state and metrics, but for the seconds it took."""
    seconds = {"train_s", "eval_s", "cpu_s", "torch_fidelity_difference"}
    return {
        trial.spec.key: (
            trial.state,
            [
                (rung.step, {name: value for name, value in rung.metrics.items() if name not in seconds})
                for rung in trial.rungs
            ],
        )
        for trial in record.trials
    }
