"""Small shipped studies in full, from YAML to guide: what smoke.yaml leaves out."""

from __future__ import annotations

import subprocess
import sys

import pytest

from sweeper.records import FINAL_STATES
from tests.e2e.workplace import PATIENCE_S, Workplace
from tests.places import STUDIES

# A user's script: no `if __name__ == "__main__"`, and what it prints is its own.
SCRIPT = """
import sys
import sweeper

file, workspace, reports = sys.argv[1:]
seen = []
run = sweeper.run(sweeper.load(file), workspace, reports, progress=seen.append)
assert run.done and run.delivered and not run.failures, run
assert seen[-1].stage == "confirm", seen
assert set(run.trials()["state"]) <= {"complete", "pruned"}, run.trials()
assert sum(run.states.values()) == run.trials()["trial"].nunique() == len(run.guide.record.trials)
print(run.guide.verdict)
"""


def by_command(place: Workplace) -> subprocess.CompletedProcess[str]:
    return place.run()


def by_script(place: Workplace) -> subprocess.CompletedProcess[str]:
    script = place.root / "script.py"
    script.write_text(SCRIPT)
    command = [sys.executable, script, place.study, place.root, place.reports]
    done = subprocess.run(command, cwd=place.root, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.stderr == ""
    assert f"> **{done.stdout.strip()}" in (place.reports / place.name / "guide.md").read_text()
    return done


@pytest.mark.parametrize(
    ("run", "name", "trials", "says"),
    [
        (
            by_script,
            "smoke_dit",
            (4, 13),
            ("noise prediction on a linear schedule", "variance learned", "Control arm repa"),
        ),
        (
            by_command,
            "smoke_mean_flow",
            (5, 5 + 2 * 3),
            ("Guidance (CFG)", "linear probe's accuracy", "memory bank 64", "1/coverage"),
        ),
    ],
)
def test_a_shipped_study_runs_to_its_guide(tmp_path, run, name, trials, says):
    place = Workplace(tmp_path, STUDIES / f"{name}.yaml")

    done = run(place)

    assert done.returncode == 0, done.stderr
    guide = (place.reports / name / "guide.md").read_text()
    assert [words for words in says if words not in guide] == []
    found = place.record().trials
    assert {trial.state for trial in found} <= FINAL_STATES - {"failed"}
    screened = [trial for trial in found if trial.spec.stage == "screen"]
    assert (len(screened), len(found)) == trials
    assert place.status()["agree"] is True
