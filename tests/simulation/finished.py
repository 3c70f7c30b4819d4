"""What a simulation has finished, in a file that the same command continues from."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path


class Finished:
    """Worlds that are done, a JSON line each with what its figures depend on: seed, studies, code."""

    def __init__(self, path: Path, under: Mapping[str, object]) -> None:
        self._path, self.under = path, dict(under)

    def load(self) -> dict[str, Counter[str]]:
        """Return the figures of every world that was simulated under the same, by name."""
        lines = self._path.read_text().splitlines() if self._path.exists() else []
        known = [json.loads(line) for line in lines if line.endswith("}")]
        return {one["world"]: Counter(one["figures"]) for one in known if one.get("under") == self.under}

    def add(self, world: str, figures: Counter[str]) -> None:
        """Keep one more."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as file:
            file.write(json.dumps({"world": world, "under": self.under, "figures": figures}) + "\n")


def digest(places: Iterable[Path]) -> str:
    """Return sixteen hex digits of all Python files in these places: the code that decides a figure."""
    files = [file for one in places for file in ([one] if one.is_file() else sorted(one.rglob("*.py")) or [one])]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]
