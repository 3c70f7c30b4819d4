"""What a worker's process loads."""

import subprocess
import sys


def test_a_worker_loads_nothing_that_only_the_coordinator_needs():
    theirs = "{'optuna', 'mlflow', 'scipy', 'sklearn', 'statsmodels'}"  # Ray itself needs pandas
    code = (
        "import sys, sweeper.placement.tuner, sweeper.worker.cohort_run\n"
        f"loaded = {theirs} & set(sys.modules)\n"
        "ours = [name for name in sys.modules if name.startswith(('sweeper.coordinator', 'sweeper.search', "
        "'sweeper.ledger', 'sweeper.statistics', 'sweeper.calibration'))]\n"
        "assert not loaded and not ours, (loaded, ours)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
