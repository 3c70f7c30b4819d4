"""A study's totals over all its runs, kept in its folder so that a resumed run adds to them."""

from __future__ import annotations

import time
from pathlib import Path

from sweeper.records import Provenance
from trainer.recipe import Frozen
from trainer.runtime.files import read_json, write_whole


class _Kept(Frozen):
    wall_s: float
    fid_difference: float | None
    started: str
    first_step_at: float | None


class RunTotals:
    """A study's wall time over all runs, its first start, and the difference to torch-fidelity once it is known."""

    def __init__(self, folder: Path, provenance: Provenance) -> None:
        """Load the totals of earlier runs; an unreadable file counts as none."""
        self._path = folder / "spent.json"
        self._provenance = provenance
        self._begun = time.time()
        self._fid_asked_of: str | None = None
        try:
            kept = _Kept.model_validate(read_json(self._path))
        except (OSError, ValueError):
            kept = _Kept(wall_s=0.0, fid_difference=None, started=provenance.started, first_step_at=None)
        self._before_s, self.fid_difference = kept.wall_s, kept.fid_difference
        self._started, self._first_step_at = kept.started, kept.first_step_at

    def asks_for_fid(self, cohort: str) -> bool:
        """Whether a cohort with a baseline is to measure that difference: the first one does, once per study."""
        if self.fid_difference is None:
            self._fid_asked_of = self._fid_asked_of or cohort
        return self._fid_asked_of == cohort

    def fid_not_checked(self, cohort: str) -> None:
        """Note that a cohort ended or was split; if it was to measure and did not, the next one measures."""
        if self._fid_asked_of == cohort and self.fid_difference is None:
            self._fid_asked_of = None

    def fid_checked(self, difference: float | None) -> None:
        """Note the relative difference of our FID to torch-fidelity's, where it was measured."""
        self.fid_difference = self.fid_difference if difference is None else difference

    def training_began(self) -> None:
        """Note, once a study, when training began."""
        if self._first_step_at is None:
            self._first_step_at = time.time()
            self.keep()

    def provenance(self) -> Provenance:
        """Return the provenance as it is now."""
        wall_s = self._before_s + time.time() - self._begun
        totals = {"wall_s": wall_s, "torch_fidelity_difference": self.fid_difference, "started": self._started}
        return self._provenance.model_copy(update=totals)

    def keep(self) -> None:
        """Write the totals; a crash loses what came after the last call."""
        now = self.provenance()
        kept = _Kept(
            wall_s=now.wall_s,
            fid_difference=self.fid_difference,
            started=self._started,
            first_step_at=self._first_step_at,
        )
        write_whole(self._path, kept.model_dump_json(), durable=False)  # at every rung
