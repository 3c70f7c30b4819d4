"""How numbers and names are written for readers."""

import pytest

from sweeper.text.numbers import duration, metric_name


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0.0 s"), (9.94, "9.9 s"), (89, "89 s"), (90, "2 min"), (5_500, "92 min"), (7_200, "2 h 0 min"), (None, "-")],
)
def test_a_duration_is_written_as_people_say_it(seconds, said):
    assert duration(seconds) == said


@pytest.mark.parametrize(
    ("recorded", "words"),
    [
        ("fid_10k", "FID-10K"),
        ("fid_2500", "FID-2500"),
        ("kid_600", "KID-600"),
        ("recall_10k", "recall-10K"),
        ("val_loss", "validation loss"),
        ("nearest_train_ratio", "nearest-image ratio"),
        ("train_loss", "train loss"),
    ],
)
def test_a_metric_is_called_as_readers_know_it_with_its_samples(recorded, words):
    assert metric_name(recorded) == words
