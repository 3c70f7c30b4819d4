"""Writing a guide's files: a file that nobody changed is replaced, one that somebody changed is set aside, not lost."""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path
from typing import Literal

from sweeper.render.next_study_yaml import is_ours
from trainer.runtime.files import read_json, write_whole

log = logging.getLogger(__name__)

Format = Literal["markdown", "html", "latex"]
FILES: dict[Format, str] = {"markdown": "guide.md", "html": "guide.html", "latex": "guide.tex"}
PICTURES = ("overview", "intervals", "curves", "health", "front", "samples")
VECTORS = PICTURES[:-1]  # drawn as vectors too; samples are pixels
DRAWN = (*(f"{picture}.png" for picture in PICTURES), *(f"{picture}.svg" for picture in VECTORS))
NAMES = (*FILES.values(), "guide.json", "record.json", "samples.json", *DRAWN)
DIGESTS = ".written.json"


class OwnFiles:
    """Writes a guide's files by name, and knows by their digests, in a file beside them, which are as it wrote them.

    Beside a guide of an earlier version there are no digests, nor where somebody removed them or made another thing of
    them: then every file of a guide's name is taken to be as it was written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._digests = _read(folder / DIGESTS)

    def write(self, name: str, content: str | bytes) -> None:
        """Write a file whole; raise OSError where that is not possible. One that somebody changed is renamed before."""
        data = content.encode() if isinstance(content, str) else content
        if _digest(self._folder / name) != hashlib.sha256(data).hexdigest():
            self._set_aside(name)
        # The old file's digest stays beside the new one's, so that a process that ends in between leaves no stranger.
        self._remember(name, {_digest(self._folder / name), hashlib.sha256(data).hexdigest()})
        write_whole(self._folder / name, data, durable=False)

    def remove(self, name: str) -> None:
        """Remove a file that has no reason to be there any more; one that somebody changed is renamed instead."""
        self._set_aside(name)
        (self._folder / name).unlink(missing_ok=True)

    def _set_aside(self, name: str) -> None:
        path = self._folder / name
        found = _digest(path)
        if not found or found in self._digests.get(name, ()):
            return
        aside, number = path.with_suffix(f".edited{path.suffix}"), 2
        while aside.exists():
            aside, number = path.with_suffix(f".edited.{number}{path.suffix}"), number + 1
        path.rename(aside)
        log.warning("%s was changed by hand and is kept as %s; a new one takes its place", path, aside.name)

    def _remember(self, name: str, digests: set[str]) -> None:
        self._digests[name] = sorted(digests - {""})
        write_whole(self._folder / DIGESTS, json.dumps(self._digests, indent=1) + "\n", durable=False)


def guide_files(folder: Path) -> list[Path]:
    """Return what of a guide's folder is the guide: a user's own files may lie there too."""
    return [
        path for path in sorted(folder.iterdir()) if path.name in NAMES or (path.suffix == ".yaml" and is_ours(path))
    ]


def _read(file: Path) -> dict[str, list[str]]:
    try:
        found = read_json(file)
        return {str(name): [str(digest) for digest in digests] for name, digests in found.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {name: [digest] for name in NAMES if (digest := _digest(file.with_name(name)))}


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
