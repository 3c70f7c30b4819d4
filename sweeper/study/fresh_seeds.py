"""A study's fresh seeds: those its file lists, or a sequence derived from the study."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Collection, Iterator

from sweeper.study.baseline_seeds import reserved_seeds
from sweeper.study.fingerprint import fingerprint
from sweeper.study.study import Study

FIRST, END = 1_000, 1_000_000  # of derived seeds: far from those that people choose, and still short


def fresh_seeds(study: Study, seen: Collection[int] = ()) -> tuple[int, ...]:
    """Return the seeds of a study's confirm stage; () where it has none.

    Those written or, where the study gives their number (or `auto`: as many as its looks may take), a sequence that
    follows from the study's name and fingerprint, without the screen's seeds, its baseline's and those `seen` before.
    """
    confirm = study.confirm
    if confirm is None:
        return ()
    if isinstance(confirm.seeds, tuple):
        return confirm.seeds
    used = {*study.screen.seeds, *reserved_seeds(study), *seen}
    fresh = (seed for seed in _sequence(study) if seed not in used)
    return tuple(itertools.islice(fresh, confirm.seed_count))


def _sequence(study: Study) -> Iterator[int]:
    name, given = f"{study.name}:{fingerprint(study)}", set[int]()
    for place in itertools.count():
        digest = hashlib.sha256(f"{name}:{place}".encode()).digest()
        seed = FIRST + int.from_bytes(digest[:8], "big") % (END - FIRST)
        if seed not in given:
            given.add(seed)
            yield seed
