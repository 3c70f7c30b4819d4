"""The table of metrics, and what the names of a record mean."""

from typing import get_args

import pytest

from tests.places import ROOT
from trainer.recipe import METRICS, Metric, MetricName, fid_name, recorded_metric, recorded_metrics


def test_every_metric_has_its_descriptor_in_the_order_of_the_names():
    assert tuple(METRICS) == get_args(MetricName)


def test_the_page_on_methods_names_every_metric():
    page = (ROOT / "docs/method.md").read_text(encoding="utf-8").lower()
    missing = [name for name, metric in METRICS.items() if metric.words.lower() not in page]
    assert not missing, f"docs/method.md does not name {missing}"


def test_fid_alone_is_the_objective_and_is_named_by_the_table():
    assert [name for name, metric in METRICS.items() if metric.guide == "objective"] == ["fid"]
    assert fid_name(2_500) == METRICS["fid"].recorded(2_500) == "fid_2500"


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_what_a_guide_claims_has_a_better_direction_and_its_protocol_has_words(metric: Metric):
    assert metric.better or metric.guide != "claimed"
    assert metric.protocol or metric.guide == "objective"


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
@pytest.mark.parametrize("samples", [2, 999, 1_000, 2_500, 50_000])
def test_a_name_in_a_record_leads_back_to_its_metric(metric: Metric, samples: int):
    found = recorded_metric(metric.recorded(samples))
    assert found
    assert found.metric is metric
    assert found.samples == (fid_name(samples).removeprefix("fid_") if metric.counted else "")


@pytest.mark.parametrize(
    "name",
    ["", "fid", "recall", "recall_", "recall_10k_second", "recall_k", "recall_0k", "val_loss_10k", "precision_recall_5",
     "train_loss", "feature_norm.block_0", "eval_s", "nearest", "strange_10k"],
)  # fmt: skip
def test_other_names_of_a_record_mean_no_metric(name: str):
    assert recorded_metric(name) is None


def test_metrics_come_in_the_order_of_tables_whatever_the_records():
    names = ["nearest_train_ratio", "train_s", "recall_10k", "kid_2k", "val_loss", "kid_10k", "fid_10k"]
    ordered = ["fid_10k", "val_loss", "kid_10k", "kid_2k", "recall_10k", "nearest_train_ratio"]
    assert [known.name for known in recorded_metrics(names)] == ordered
    assert [known.name for known in recorded_metrics(reversed(names))] == ordered
