"""The table of other outcomes follows the table of metrics, and the record."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sweeper.guide.assemble import assemble_guide
from sweeper.guide.schema.guide import Guide
from sweeper.records import Rung, TrialRecord
from sweeper.render.markdown import render_markdown
from tests.sweeper.guide.study_records import make_record, make_study, setting, simulate
from trainer.recipe import METRICS

CELLS = (setting((1,), 0.01, 0.5), setting((2,), 0.01, 0.5))
LAST = {metric.recorded(10_000): 0.1 * (place + 1) for place, metric in enumerate(METRICS.values())}


def guide_of(metrics: Callable[[TrialRecord], dict[str, float]]) -> Guide:
    """A guide to three screen and four fresh seeds, whose last rungs have these metrics beside FID."""

    def put(one: TrialRecord) -> TrialRecord:
        last = one.rungs[-1]
        kept = {name: last.metrics[name] for name in ("fid_10k", "train_s")}
        return one.model_copy(update={"rungs": (Rung(step=last.step, metrics=metrics(one) | kept),)})

    screened = simulate(make_study(), CELLS, lambda _: 0.0)
    fresh = simulate(make_study(confirm={"top": 2, "seeds": 4}), CELLS, lambda _: 0.0, "confirm", range(100, 104))
    study = make_study(confirm={"top": 2, "seeds": 4})
    return assemble_guide(make_record(study, map(put, [*screened, *fresh])))


def in_guide(*places: str) -> list[str]:
    return [metric.recorded(10_000) for metric in METRICS.values() if metric.guide in places]


def protocol(guide: Guide) -> dict[str, str]:
    return {item.name: item.value for item in guide.protocol}


def test_all_that_is_shown_or_claimed_is_a_column_in_the_order_of_the_metrics() -> None:
    guide = guide_of(lambda _: LAST)
    for row in guide.outcomes:
        assert [one.metric for one in row.outcomes] == in_guide("claimed", "shown")
    assert [name for name in LAST if any(claim.metric == name for claim in guide.side_claims)] == in_guide("claimed")


def test_a_metric_of_every_rung_has_a_protocol_line_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METRICS, "kid", METRICS["kid"]._replace(measured="every rung"))
    words = protocol(guide_of(lambda _: LAST))
    assert words["every rung"] == METRICS["kid"].protocol
    assert words["last rung"] == "; ".join(dict.fromkeys(
        metric.protocol for name, metric in METRICS.items() if name not in ("fid", "kid")
    ))  # fmt: skip


def test_a_record_of_before_a_metric_has_no_word_of_it() -> None:
    guide = guide_of(lambda _: {"val_loss": 0.2, "recall_10k": 0.6})
    assert {one.metric for row in guide.outcomes for one in row.outcomes} == {"val_loss", "recall_10k"}
    assert {claim.metric for claim in guide.side_claims} == {"val_loss", "recall_10k"}
    recall = METRICS["recall"].protocol
    assert protocol(guide)["last rung"] == f"{METRICS['val_loss'].protocol}; {recall}"
    text = render_markdown(guide, {})
    assert "lower is better for validation loss, higher for recall." in text
    assert "KID" not in text


def test_a_study_without_a_measurement_announces_all_that_will_be_measured() -> None:
    words = protocol(assemble_guide(make_record(make_study(), ())))["last rung"]
    assert words.startswith("validation loss")
    measured = make_study().recipe.eval.measures
    assert all((metric.protocol in words) == measured(name) for name, metric in METRICS.items() if metric.protocol)


def test_trials_that_lack_a_metric_are_left_out_of_its_mean_alone() -> None:
    def later(one: TrialRecord) -> dict[str, float]:
        return {"val_loss": 0.2} | ({"recall_10k": 0.5 + one.spec.seed / 10} if one.spec.seed > 0 else {})

    for row in guide_of(later).outcomes:
        loss, recall = row.outcomes
        assert (loss.n, recall.n) == (3, 2)
        assert recall.mean == pytest.approx(0.65)


def test_cells_of_which_only_some_have_a_metric_share_the_columns() -> None:
    def some(one: TrialRecord) -> dict[str, float]:
        return {"recall_10k": 0.5} if one.spec.cell == CELLS[0] else {"kid_10k": 0.003}

    text = render_markdown(guide_of(some), {})
    (head,) = [line for line in text.splitlines() if "| KID-10K" in line]
    assert [name.strip() for name in head.split("|")[1:-1]] == ["cell", "KID-10K", "recall-10K"]
    assert "lower is better for KID, higher for recall." in text
