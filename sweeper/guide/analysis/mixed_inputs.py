"""Refuse a record whose trials cannot be compared: of one arm, but with different inputs."""

from __future__ import annotations

from sweeper.errors import DataError
from sweeper.records import INPUTS, StudyRecord


def refuse_mixed(record: StudyRecord) -> None:
    """Raise DataError where trials of one arm had different inputs: no guide can compare them.

    An empty hash is of a record made before that input was hashed.
    """
    first: dict[tuple[str, str], str] = {}
    for trial in record.trials:
        if trial.facts is None:
            continue
        for field, words in INPUTS.items():
            sha256 = str(getattr(trial.facts, field))
            if not sha256:
                continue
            before = first.setdefault((trial.spec.cell.key, field), sha256)
            if sha256 != before:
                raise DataError(
                    f"the record of {record.study.name!r} holds trials with different {words}, {before[:16]} and "
                    f"{sha256[:16]} (both of {trial.spec.cell.label}), which cannot be compared",
                    "run the study of each under a name of its own",
                )
