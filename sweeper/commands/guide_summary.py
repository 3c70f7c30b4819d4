"""What MLflow shows of a guide: the experiment's description, and fresh seeds' figures as metrics of its own run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from sweeper.guide.schema.guide import Guide
from sweeper.guide.schema.results import CellResult
from sweeper.guide.schema.statements import Claim
from sweeper.ledger.tags import LENGTH, described
from sweeper.text.numbers import INVERTED

MOST_ARMS = 8  # of five figures each: as many as a person will read in a run's list of metrics
LONGEST_ARM = 100  # characters of an arm's name; MLflow 3.17 allows 250 of a metric's


class Summary(NamedTuple):
    """A description, as markdown in which a study's words are text, and metrics by name."""

    description: str
    metrics: dict[str, float]


def summary(folder: Path) -> Summary:
    """Summarise the guide whose guide.json lies in `folder`."""
    guide = Guide.model_validate_json((folder / "guide.json").read_bytes())
    said = described(guide.verdict.headline, guide.question, *guide.verdict.points)
    return Summary(said[:LENGTH], confirm_metrics(guide))


def confirm_metrics(guide: Guide) -> dict[str, float]:
    """Return what fresh seeds say of the baseline and the first arms; nothing before the confirm stage has ended.

    Names are 'confirm/<arm>/<figure>': MLflow makes a section of what stands before the first slash. Figures are the
    objective's mean, its change to the baseline and the ends of its interval as fractions, and p after Holm.
    """
    stage = guide.confirm
    claims = [claim for claim in (*guide.claims, *guide.side_claims) if claim.metric == guide.objective]
    if stage is None or not guide.claims:
        return {}
    results = {result.key: result for result in stage.rows}
    names = _names(claims[:MOST_ARMS])
    found = dict(_mean("baseline", guide.objective, stage.baseline))
    for claim in claims[:MOST_ARMS]:
        found.update(_mean(names[claim.key], guide.objective, results.get(claim.key)))
        found.update(_change(names[claim.key], claim))
    return found


def _mean(arm: str, objective: str, result: CellResult | None) -> Iterator[tuple[str, float]]:
    if result and result.mean is not None:
        yield f"confirm/{arm}/{_plain(objective.replace(INVERTED, 'inverse '))}", result.mean


def _change(arm: str, claim: Claim) -> Iterator[tuple[str, float]]:
    change = claim.change
    figures = {"change": change.mean, "change low": change.low, "change high": change.high} if change else {}
    yield from ((f"confirm/{arm}/{name}", value) for name, value in figures.items() if value is not None)
    if claim.p is not None:
        yield f"confirm/{arm}/p", claim.p


def _names(claims: list[Claim]) -> dict[str, str]:
    """Name each arm by its label, shortened to MLflow's limit, and add its key where two names would be equal."""
    plain = {claim.key: _plain(claim.label) for claim in claims}
    alike = ["baseline", *plain.values()]
    return {key: name if name and alike.count(name) == 1 else f"{name} {key}".strip() for key, name in plain.items()}


def _plain(words: str) -> str:
    """Keep letters, digits and '_', '-', '.': MLflow refuses the rest, and takes a slash for a section."""
    return " ".join(re.sub(r"[^\w.\- ]+", " ", words).split()).strip(".")[:LONGEST_ARM].strip()
