"""The signs beside a cell's figures, and what they mean."""

from __future__ import annotations

from typing import NamedTuple

from sweeper.guide.schema.guide import Guide
from sweeper.guide.schema.results import CellResult, StageResult
from sweeper.guide.schema.statements import Standing

DAGGERS = "†‡§¶"
SIGNS: dict[Standing, str] = {"confirmed hurts": "▲", "confirmed helps": "▼", "equivalent": "≈"}
SAID: dict[Standing, str] = {
    "confirmed hurts": "confirmed hurts, on fresh seeds",
    "confirmed helps": "confirmed helps, on fresh seeds",
    "equivalent": "equivalent to lambda 0 within the margin, on fresh seeds",
}


class Marks(NamedTuple):
    """A dagger for each name of a marked cell, and a sign for each claim by key."""

    daggers: dict[str, str]
    standings: dict[str, Standing]

    @classmethod
    def of(cls, guide: Guide) -> Marks:
        """Collect what a guide marks."""
        names = dict.fromkeys(result.cell.mark for result in guide.main.rows if result.cell.mark)
        daggers = {name: DAGGERS[min(place, len(DAGGERS) - 1)] for place, name in enumerate(names)}
        arms = (*guide.claims, *(claim for claim in guide.side_claims if claim.metric == guide.objective))
        return cls(daggers, {claim.key: claim.standing for claim in arms if claim.standing in SIGNS})

    def flags(self, result: CellResult) -> str:
        """What stands behind a cell's figures."""
        sign = SIGNS[self.standings[result.key]] if result.key in self.standings else ""
        dagger = self.daggers.get(result.cell.mark or "", "")
        signs = (sign, "◦" if result.saturated else "", "▫" if result.audited else "", dagger)
        return "".join(f" {one}" for one in signs if one)

    def legend(self, stage: StageResult) -> list[str]:
        """Explain the signs that occur in a stage."""
        keys = {result.key for result in stage.rows}
        seen = {standing for key, standing in self.standings.items() if key in keys}
        parts = [f"{SIGNS[standing]} {SAID[standing]}" for standing in SIGNS if standing in seen]
        if any(result.saturated for result in stage.rows):
            parts.append("◦ more than 10 % of steps at the floor of the loss: block and tau mean nothing there")
        if any(result.audited for result in stage.cells):
            parts.append("▫ would have been stopped, and ran on to check the pruner; no claim")
        return parts

    def names(self) -> list[str]:
        """Explain the daggers."""
        return [f"{dagger} {name}" for name, dagger in self.daggers.items()]
