"""A small shipped study in full, from YAML to guide: what smoke.yaml leaves out. Another runs in a notebook."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.workplace import Workplace, is_complete
from tests.places import STUDIES


def test_a_shipped_study_runs_to_its_guide(tmp_path: Path) -> None:
    place = Workplace(tmp_path, STUDIES / "smoke_mean_flow.yaml")
    done = place.run()
    assert done.returncode == 0, done.stderr
    several = "Several objectives (1/coverage-300, recall-300, training FLOPs)"
    says = ("Guidance (CFG)", "linear probe's accuracy", "memory bank 64", "1/coverage", several)
    is_complete(place, 5, 5 + 2 * 3, says)
