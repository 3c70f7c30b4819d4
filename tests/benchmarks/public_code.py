"""Our predictions, losses and samplers beside public code's on copied weights, with `gelu: tanh`.

    python -m tests.benchmarks.public_code --sit PATH --dit PATH --mean-flow-jax PATH --mean-flow-torch PATH

Each PATH is a checkout (willisma/SiT, facebookresearch/DiT, Gsunshine/meanflow, zhuyu-cs/MeanFlow), which is used as it
is. They need packages that the project does without: timm and torchdiffeq, or jax and flax for the one in JAX. A
figure is the largest difference relative to the public code's largest number, in float32, which both compute in. It
exits with 1 where one is above 1e-5, and with 2 where nothing could be compared. What is not given or cannot be
imported is one line.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.benchmarks.public_mean_flow import jax_rows, torch_rows
from tests.benchmarks.public_rows import NotHereError, Row
from tests.benchmarks.public_transformers import dit_rows, sit_rows
from trainer.evaluation.torch_fidelity import torch_fidelity
from trainer.runtime.process import prepare

LIMIT = 1e-5
CODES: dict[str, Callable[[Path | None], Iterator[Row]]] = {
    "sit": sit_rows,
    "dit": dit_rows,
    "mean-flow-jax": jax_rows,
    "mean-flow-torch": torch_rows,
}


def compare(checkouts: dict[str, Path | None]) -> tuple[list[Row], list[str]]:
    """Return all rows, and a line for each code that could not be compared."""
    rows, missing = [], []
    for name, path in checkouts.items():
        try:
            rows += list(CODES[name](path))
        except NotHereError as error:
            missing.append(f"--{name}: not compared: {error}")
    return rows, missing


def table(rows: list[Row]) -> str:
    """Return a markdown table."""
    lines = [f"| {row.code} | {row.what} | {row.apart:.1e} |" for row in rows]
    return "\n".join(["| public code | what | relative difference |", "|---|---|---|", *lines])


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in CODES:
        parser.add_argument(f"--{name}", type=Path, help="a checkout")
    given = vars(parser.parse_args())
    prepare(threads=1)
    torch_fidelity()  # lends torchvision, which timm imports, what it lacks beside a CPU build of torch
    rows, missing = compare({name: given[name.replace("-", "_")] for name in CODES})
    if rows:
        print(table(rows))
    print(*missing, sep="\n", end="\n" if missing else "")
    sys.exit(any(row.apart > LIMIT for row in rows) if rows else 2)


if __name__ == "__main__":
    main()
