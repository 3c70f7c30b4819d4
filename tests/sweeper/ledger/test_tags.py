from __future__ import annotations

from typing import get_args

import pytest

from sweeper.ledger.tags import group_of
from trainer.recipe import METRICS
from trainer.recipe.auxiliary_losses import AuxiliaryLoss


@pytest.mark.parametrize(
    ("recorded", "shown"),
    [
        ("fid_10k", "fid_10k"),
        ("train_loss", "train_loss"),
        ("feature_norm.block_0", "health/feature_norm.block_0"),
        ("floor_share", "health/floor_share"),
        ("train_s", "time/train_s"),
    ],
)
def test_health_and_times_have_headings_in_mlflow(recorded: str, shown: str) -> None:
    assert group_of(recorded) == shown


def test_what_a_study_may_be_judged_by_keeps_its_name() -> None:
    names = [metric.recorded(10_000) for metric in METRICS.values()]
    assert [group_of(name) for name in names] == names


def test_what_an_auxiliary_loss_records_is_health_whichever_it_is() -> None:
    names = [name for loss in get_args(AuxiliaryLoss) for name in loss.recorded]
    assert {"alignment_loss", "contrastive_loss"} <= {*names}
    assert [group_of(name) for name in names] == [f"health/{name}" for name in names]
