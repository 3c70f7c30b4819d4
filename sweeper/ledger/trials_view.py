"""The view in which MLflow opens a study: its runs in the order of the objective, with the columns that matter.

MLflow 3.17 reads order and filter from an address, columns only from its browser's storage or from a saved view: a tag
of the experiment that an address names (`viewStateShareKey`), and that the page also lists by its name. An address with
an order of its own ignores the view. Before saved views had names, the tag held the state itself, which is why it
stands in the tag twice.
"""

from __future__ import annotations

import json

from sweeper.ledger.tags import STATE, group_of
from sweeper.study import Study
from sweeper.study.knobs import BLOCK, KNOBS, LAMBDA, TAU

KEY = "sweeper"
TAG = f"mlflow.sharedViewState.{KEY}"


def view_of(study: Study, at_ms: int) -> str:
    """Return the tag's text."""
    state = {
        "orderByKey": _objective(study),
        "orderByAsc": not study.minimised.is_inverted,  # a record holds the metric itself, not its reciprocal
        "selectedColumns": columns_of(study),
    }
    envelope = {"name": "Trials", "createdAt": at_ms, "updatedAt": at_ms, "state": json.dumps(state)}
    return json.dumps({**envelope, **state})


def order_in_address(study: Study) -> dict[str, str]:
    """Return the order alone, as an address has it."""
    return {"orderByKey": _objective(study), "orderByAsc": "false" if study.minimised.is_inverted else "true"}


def columns_of(study: Study) -> list[str]:
    """Name the columns: the objective, block, lambda, tau and whatever else the study sweeps, and which trial it is."""
    swept = [knob.name for knob in KNOBS if knob in (BLOCK, LAMBDA, TAU) or len(knob.points(study)) > 1]
    params = [f"params.`{name}`" for name in (*swept, "stage", "seed")]
    return [_objective(study), *params, f"tags.`{STATE}`"]


def _objective(study: Study) -> str:
    return f"metrics.`{group_of(study.minimised.recorded())}`"
