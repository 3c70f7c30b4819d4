"""Ray places cohorts on cores and GPUs and restarts workers that die; it decides and records nothing.

The one package that imports ray. Its own experiment state is never read back: every run builds a fresh Tuner from
what the coordinator knows.
"""

import os

# Read by ray when it is imported, so they are set before.
for _name, _value in {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_WARN_INSUFFICENT_RESOURCE_THRESHOLD_S": "0",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
}.items():
    os.environ.setdefault(_name, _value)

from sweeper.placement.study_run import Outcome, run_study  # noqa: E402

__all__ = ["Outcome", "run_study"]
