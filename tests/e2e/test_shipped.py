"""A small shipped study in full, from YAML to guide: what smoke.yaml leaves out. Another runs in a notebook."""

from __future__ import annotations

from pathlib import Path

from sweeper.records import FINAL_STATES
from tests.e2e.workplace import Workplace
from tests.places import STUDIES


def is_complete(place: Workplace, screened: int, trials: int, says: tuple[str, ...]) -> None:
    """Assert that a study ran to its guide, with so many trials, none of them failed, and that the guide says this."""
    guide = (place.reports / place.name / "guide.md").read_text()
    assert [words for words in says if words not in guide] == []
    found = place.record().trials
    assert {trial.state for trial in found} <= FINAL_STATES - {"failed"}
    assert (sum(trial.spec.stage == "screen" for trial in found), len(found)) == (screened, trials)
    assert place.status()["agree"] is True


def test_a_shipped_study_runs_to_its_guide(tmp_path: Path) -> None:
    place = Workplace(tmp_path, STUDIES / "smoke_mean_flow.yaml")
    done = place.run()
    assert done.returncode == 0, done.stderr
    says = ("Guidance (CFG)", "linear probe's accuracy", "memory bank 64", "1/coverage")
    is_complete(place, 5, 5 + 2 * 3, says)
