"""What MLflow costs and says: nothing until it is needed, nothing at all, and a server on this machine only."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from sweeper.commands.ui import serve
from sweeper.ledger import events
from sweeper.ledger import mlflow_runs as reader
from sweeper.ledger.mlflow_process import ENVIRONMENT
from sweeper.ledger.records_from_mlflow import TrialFiles, counts, read_study
from sweeper.ledger.writer import Ledger
from sweeper.records import TrialRecord
from sweeper.study.registration import Registration
from sweeper.workspace import Workspace
from tests.e2e.workplace import SWEEPER
from tests.integration.ledger.ledger_life import (
    FACTS,
    GRID,
    LIFE,
    PNG,
    PROVENANCE,
    STUDY,
    Home,
    closed_port,
    rung,
    trial,
)


def test_importing_and_opening_the_ledger_does_not_import_mlflow(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib, sweeper.ledger.records_from_mlflow\n"
        "from sweeper.ledger.writer import Ledger\n"
        f"Ledger('sqlite:///{tmp_path}/mlflow.db', None, pathlib.Path('{tmp_path}/outbox'), 'x').close(timeout=0)\n"
        "assert not [name for name in sys.modules if name.split('.')[0] in ('mlflow', 'sqlalchemy')]\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_two_threads_may_need_mlflow_first_at_once(tmp_path: Path) -> None:
    program = (
        "import sys, threading\n"
        "from sweeper.ledger.mlflow_process import prepare_mlflow\n"
        "def late():\n"  # in the midst of the other's import
        "    while 'mlflow' not in sys.modules: pass\n"
        "    prepare_mlflow()\n"
        "    import sweeper.ledger.mlflow_writer\n"
        "thread = threading.Thread(target=late)\n"
        "thread.start()\n"
        "prepare_mlflow()\n"
        "import sweeper.ledger.mlflow_runs\n"
        "thread.join()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_first_run_prints_nothing(tmp_path: Path) -> None:
    """Tables are created, an event is set aside, and neither MLflow nor alembic says a word."""
    program = (
        "import pathlib, sys, logging\n"
        "from sweeper.ledger import events\n"
        "from sweeper.ledger import writer as module\n"
        "from sweeper.ledger.writer import Ledger\n"
        "module.FIRST_PAUSE_S = 0.01\n"
        "logging.getLogger('sweeper').addHandler(logging.NullHandler())\n"
        "opened = events.from_line(sys.stdin.buffer.read())\n"
        f"ledger = Ledger('sqlite:///{tmp_path}/mlflow.db', None, pathlib.Path('{tmp_path}/outbox'), 'block_temp')\n"
        "ledger.study_opened(opened.study, opened.provenance)\n"
        "ledger._outbox.append('poison')\n"
        "assert ledger.close(timeout=120), ledger.trouble\n"
        "assert ledger.rejected == 1\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", program],
        input=events.to_line(LIFE[0]).encode(),
        check=True,
        capture_output=True,
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if name not in ENVIRONMENT},
    )
    assert (said.stdout, said.stderr) == (b"", b"")


@pytest.fixture(scope="module")
def served(tables: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Home, int]]:
    """A workspace behind `sweeper ui`, and the port it is served on."""
    home = Home.over(tables, tmp_path_factory.mktemp("served"))
    port = closed_port()
    command = [*SWEEPER, "ui", "--workspace", str(home.outbox.parent), "--port", str(port)]
    said = home.outbox.parent / "said"
    with said.open("wb") as file:
        server = subprocess.Popen(command, start_new_session=True, stdout=file, stderr=file)
    try:
        none = f"no study is recorded there yet: http://127.0.0.1:{port}\n"
        deadline = time.monotonic() + 120
        while none not in said.read_text():
            assert server.poll() is None, said.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.2)
        yield home, port
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=30) == 0
    lines = said.read_text().splitlines()
    assert lines[0] == "MLflow starts, which takes some ten seconds; Ctrl-C ends it"
    assert f"it answers on http://127.0.0.1:{port}" in lines
    assert [line for line in lines if "GET /" in line or "Warning" in line] == []


def get(port: int, path: str) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
        return bytes(answer.read())


def test_the_ui_serves_the_workspace_on_this_machine(served: tuple[Home, int]) -> None:
    home, port = served
    with home.ledger() as ledger:
        ledger.study_opened(STUDY, PROVENANCE)
        ledger.trial_started(trial(GRID), attempt=1)
        ledger.grid(trial(GRID), PNG, step=800)
        assert ledger.flush(30), ledger.trouble
    row = reader.Reader(home.uri, STUDY.name).find(trial(GRID).key)
    assert row is not None
    found = json.loads(get(port, f"/api/2.0/mlflow/experiments/get-by-name?experiment_name={STUDY.name}"))
    assert found["experiment"]["name"] == STUDY.name
    assert get(port, f"/get-artifact?path=samples.png&run_uuid={row.run_id}") == PNG


def test_a_study_is_recorded_on_a_server_read_from_it_and_shown_there(served: tuple[Home, int], tmp_path: Path) -> None:
    home, port = served
    room, url = home.room("by_url"), f"http://127.0.0.1:{port}"
    registration = Registration.of(STUDY, room.outbox.parent)
    with Ledger(url, None, room.outbox, room.experiment, room.clock, registration=registration) as ledger:
        ledger.study_opened(STUDY, PROVENANCE)
        ledger.rung(trial(GRID), rung(800), FACTS)
        ledger.grid(trial(GRID), PNG, step=800)
        ledger.trial_finished(trial(GRID), "diverged", "loss 1e9 at step 900")
        assert ledger.flush(60), ledger.trouble
        assert ledger.rejected == 0
    record = read_study(url, "by_url")
    told = TrialRecord(spec=trial(GRID), state="diverged", rungs=(rung(800),), facts=FACTS, note="loss 1e9 at step 900")
    assert (record.study, record.provenance, record.trials) == (STUDY, PROVENANCE, (told,))
    assert TrialFiles(url, "by_url").read(trial(GRID).key, events.GRID) == PNG
    assert counts(url, "by_url") == {"diverged": 1}
    shown: list[str] = []
    assert serve(Workspace(tmp_path, tracking=url), 5000, shown.append) == 0
    found = json.loads(get(port, "/api/2.0/mlflow/experiments/get-by-name?experiment_name=by_url"))
    runs = f"{url}/#/experiments/{found['experiment']['experiment_id']}/runs?workflowType=machine_learning"
    assert shown == [f"by_url: {runs}&viewStateShareKey=sweeper"]
