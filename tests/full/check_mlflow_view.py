"""MLflow's own page in a browser: the address that `sweeper ui` prints opens the trials with their columns."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sweeper.ledger.writer import Ledger
from sweeper.study.registration import Registration
from tests.e2e.workplace import SWEEPER
from tests.full.pages import chromium
from tests.integration.ledger.ledger_life import (
    BASELINE,
    FACTS,
    GRID,
    PROVENANCE,
    STUDY,
    Home,
    closed_port,
    rung,
    trial,
)

WAIT_MS = 60_000


@pytest.fixture
def address(tables: Path, tmp_path: Path) -> Iterator[str]:
    """A study with two trials, the better one recorded last, and its address on a server."""
    home = Home.over(tables, tmp_path)
    owner = Registration.of(STUDY, tmp_path)
    with Ledger(home.uri, home.artifacts, home.outbox, home.experiment, home.clock, registration=owner) as ledger:
        ledger.study_opened(STUDY, PROVENANCE)
        for cell, fid in ((BASELINE, 20.0), (GRID, 15.0)):
            ledger.rung(trial(cell), rung(800, fid), FACTS)
            ledger.trial_finished(trial(cell), "complete")
        assert ledger.flush(30), ledger.trouble
    command = [*SWEEPER, "ui", "--workspace", str(tmp_path), "--port", str(closed_port())]
    said = tmp_path / "said"
    with said.open("wb") as file:
        server = subprocess.Popen(command, start_new_session=True, stdout=file, stderr=file)
    try:
        deadline = time.monotonic() + 120
        while not (found := re.search(rf"^{STUDY.name}: (\S+)$", said.read_text(), re.MULTILINE)):
            assert server.poll() is None, said.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.2)
        yield found[1]
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=30)


def test_the_address_shows_trials_with_their_columns_the_best_first(address: str) -> None:
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1900, "height": 900})
        page.goto(address)
        page.get_by_role("columnheader", name="fid_10k").first.wait_for(timeout=WAIT_MS)
        for column in ("block", "lambda", "tau", "stage", "seed", "sweeper.state"):
            assert page.get_by_role("columnheader", name=column, exact=True).count() >= 1, column
        page.get_by_text("15", exact=True).first.wait_for(timeout=WAIT_MS)
        cells = page.locator('.ag-row [col-id*="fid_10k"]').all_inner_texts()
        assert [float(cell) for cell in cells if cell.strip("-")] == [15.0, 20.0]
