"""Small shipped studies in full, from YAML to guide: what smoke.yaml leaves out."""

from __future__ import annotations

import pytest

from sweeper.records import FINAL_STATES
from tests.e2e.workplace import Workplace
from tests.places import STUDIES


@pytest.mark.parametrize(
    ("name", "trials", "says"),
    [
        ("smoke_dit", (4, 13), ("noise prediction on a linear schedule", "variance learned", "Control arm repa")),
        (
            "smoke_mean_flow",
            (5, 5 + 2 * 3),
            ("Guidance (CFG)", "linear probe's accuracy", "memory bank 64", "1/coverage"),
        ),
    ],
)
def test_a_shipped_study_runs_to_its_guide(tmp_path, name, trials, says):
    place = Workplace(tmp_path, STUDIES / f"{name}.yaml")

    done = place.run()

    assert done.returncode == 0, done.stderr
    guide = (place.reports / name / "guide.md").read_text()
    assert [words for words in says if words not in guide] == []
    found = place.record().trials
    assert {trial.state for trial in found} <= FINAL_STATES - {"failed"}
    screened = [trial for trial in found if trial.spec.stage == "screen"]
    assert (len(screened), len(found)) == trials
    assert place.status()["agree"] is True
