"""Which way is better, said of metrics by their names in a record."""

import pytest

from sweeper.guide.wording.directions import directions
from trainer.recipe import METRICS


@pytest.mark.parametrize(
    ("recorded", "words"),
    [
        ([], ""),
        (["train_s"], ""),
        (["kid_10k"], "lower is better for KID"),
        (["recall_5k", "precision_5k"], "higher is better for precision and recall"),
        (
            ["kid_10k", "kid_2k", "val_loss", "recall_5k"],
            "lower is better for validation loss and KID, higher for recall",
        ),
        (["nearest_train"], "neither direction is better for nearest-image distance"),
    ],
)
def test_each_direction_lists_its_metrics_once(recorded, words):
    assert directions(recorded) == words


def test_every_metric_has_its_direction_said():
    words = directions(metric.recorded(10_000) for metric in METRICS.values())
    assert all(metric.words in words for metric in METRICS.values())
