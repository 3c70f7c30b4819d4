"""Insert waiting trials into an Optuna store, many in one transaction.

Optuna 5.0 creates one trial per transaction, reads every attribute before it writes it and counts the trials before
it: 6 ms each, growing with their number. Here we write Optuna's tables directly; an integration test compares the
trials with those that Optuna creates. If an Optuna version has other tables, we create trials through its own API.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence

from optuna.distributions import CategoricalDistribution, distribution_to_json
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial
from sqlalchemy import func, insert, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from sweeper.search.database import PASSING

log = logging.getLogger(__name__)


def insert_trials(storage: RDBStorage, study_id: int, trials: Sequence[FrozenTrial]) -> list[int]:
    """Append trials that have parameters and user attributes and no results; return their ids, in the same order."""
    try:
        return _at_once(storage, study_id, trials) if trials else []
    except (ImportError, AttributeError, TypeError, SQLAlchemyError) as error:
        if isinstance(error, PASSING):  # no other way in would be open
            raise
        log.info("trials are created one by one: %s", error)
        return [storage.create_new_trial(study_id, trial) for trial in trials]


def widen(storage: RDBStorage, study_id: int, name: str, choices: CategoricalDistribution) -> None:
    """Give a parameter of every trial more choices, appended to those it has.

    A trial keeps its choice by its place. Optuna itself compares choices and refuses others, and its importances pass
    over a parameter whose choices differ between trials. Raises ValueError where Optuna's tables are others.
    """
    try:
        from optuna.storages._rdb import models

        with Session(storage.engine) as session, session.begin():
            trials = select(models.TrialModel.trial_id).where(models.TrialModel.study_id == study_id)
            mine = models.TrialParamModel.trial_id.in_(trials), models.TrialParamModel.param_name == name
            written = distribution_to_json(choices)
            session.execute(update(models.TrialParamModel).where(*mine).values(distribution_json=written))
    except (ImportError, AttributeError, TypeError) as error:
        raise ValueError(f"this Optuna cannot take more choices of {name}: {error}") from error


def _at_once(storage: RDBStorage, study_id: int, trials: Sequence[FrozenTrial]) -> list[int]:
    from optuna.storages._rdb import models

    with Session(storage.engine) as session, session.begin():
        known = session.scalar(select(func.count()).where(models.TrialModel.study_id == study_id)) or 0
        rows = [
            models.TrialModel(study_id=study_id, number=number, state=trial.state)
            for number, trial in enumerate(trials, start=known)
        ]
        session.add_all(rows)
        session.flush()
        ids = [int(row.trial_id) for row in rows]
        # Few distributions, of long lists perhaps, and many trials.
        distinct = {id(distribution): distribution for trial in trials for distribution in trial.distributions.values()}
        written = {identity: distribution_to_json(distribution) for identity, distribution in distinct.items()}
        params = [
            {
                "trial_id": trial_id,
                "param_name": name,
                "param_value": distribution.to_internal_repr(trial.params[name]),
                "distribution_json": written[id(distribution)],
            }
            for trial_id, trial in zip(ids, trials, strict=True)
            for name, distribution in trial.distributions.items()
        ]
        attributes = [
            {"trial_id": trial_id, "key": key, "value_json": json.dumps(value)}
            for trial_id, trial in zip(ids, trials, strict=True)
            for key, value in trial.user_attrs.items()
        ]
        session.execute(insert(models.TrialParamModel), params)
        session.execute(insert(models.TrialUserAttributeModel), attributes)
        return ids
