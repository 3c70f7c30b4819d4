"""Before a study runs: what a trial costs on this machine, and whether the study can be trained on it."""
