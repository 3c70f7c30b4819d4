"""One cohort's life in a worker process."""
