"""Where a study's records lie, for the process that owns them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Places:
    """Where a desk keeps what it owns, and the folder relative paths start from; plain values that can travel."""

    store_url: str
    tracking_uri: str
    artifacts: Path | None
    folder: Path
    cache: Path
    base: Path
