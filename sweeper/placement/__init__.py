"""Ray places cohorts on cores and GPUs and restarts workers that die; it decides and records nothing.

The one package that imports ray. Its own experiment state is never read back: every run builds a fresh Tuner from
what the coordinator knows.

Workers import `sweeper.placement.tuner`, and with it this file. So nothing is exported here: what the driver needs
(`sweeper.placement.study_run`) would take each of them another second and 100 MB.
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
