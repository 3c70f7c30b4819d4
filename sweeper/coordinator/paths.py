"""Paths and store addresses of a study's records, for the coordinator."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sweeper.study.registration import Registration


@dataclass(frozen=True)
class Paths:
    """Where a coordinator keeps what it owns, and the folder relative paths start from; plain values, to be pickled.

    `seeds` is the registry that the workspace's studies share.
    """

    registration: Registration
    store_url: str
    tracking_uri: str
    artifacts: Path | None
    folder: Path
    cache: Path
    seeds: Path
    base: Path
