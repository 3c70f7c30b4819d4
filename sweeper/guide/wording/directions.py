"""Which direction is better in each metric, in words."""

from __future__ import annotations

from collections.abc import Iterable

from trainer.recipe import Better, recorded_metrics

WORDS: dict[Better | None, str] = {"lower": "lower", "higher": "higher", None: "neither direction"}


def directions(recorded: Iterable[str]) -> str:
    """Describe which direction is better for metrics by their recorded names; empty where there are none.

    >>> directions(["kid_10k", "recall_10k", "precision_10k"])
    'lower is better for KID, higher for precision and recall'
    """
    metrics = [known.metric for known in recorded_metrics(recorded)]
    named = {better: [metric.words for metric in metrics if metric.better == better] for better in WORDS}
    clauses = [f"{WORDS[better]} for {_listed(names)}" for better, names in named.items() if names]
    return ", ".join(clauses).replace(" for ", " is better for ", 1)


def _listed(names: Iterable[str]) -> str:
    *most, last = dict.fromkeys(names)
    return " and ".join(filter(None, (", ".join(most), last)))
