"""`python -m tests.benchmarks.bench_guide`: seconds and peak memory of a guide over 10,000 trials.

The record is made up, so that the guide alone is measured: statistics, tables, pictures, JSON.
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from sweeper.render.guide_folder import write_guide
from tests.sweeper.guide.study_records import large_search


def main() -> None:
    """Measure once and print one line."""
    parser = argparse.ArgumentParser(description="Measure a guide.")
    parser.add_argument("trials", type=int, nargs="?", default=10_000)
    record = large_search(parser.parse_args().trials)
    before = _peak_gib()
    with TemporaryDirectory() as folder:
        began = time.perf_counter()
        write_guide(record, Path(folder), lambda _: None)
        seconds = time.perf_counter() - began
    memory = f"peak memory {_peak_gib():.2f} GiB, of which {before:.2f} before the guide"
    print(f"{len(record.trials):,} trials: {seconds:.1f} s, {memory}")


def _peak_gib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    main()
