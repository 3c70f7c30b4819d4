"""What MLflow shows of a guide: question and verdict, and what fresh seeds say once they have decided."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from mlflow.utils.validation import _validate_metric_name

from sweeper.commands.guide_summary import MOST_ARMS, confirm_metrics, summary
from sweeper.guide.assemble import assemble_guide
from sweeper.guide.schema.guide import Guide
from sweeper.ledger.tags import LENGTH
from tests.sweeper.guide.study_records import make_record, make_study, setting, simulate, typical
from tests.sweeper.text.test_untrusted import LABELS, QUESTION


@pytest.fixture(scope="module")
def guide() -> Guide:
    return assemble_guide(typical())


def written(guide: Guide, folder: Path) -> Path:
    (folder / "guide.json").write_text(guide.model_dump_json(indent=1), encoding="utf-8")
    return folder


def test_the_description_is_verdict_and_question(guide: Guide, tmp_path: Path) -> None:
    found = summary(written(guide, tmp_path)).description
    assert found.startswith(f"{guide.verdict.headline}\n\n{guide.question}\n\n")
    assert guide.verdict.points[-1] in found


def test_a_studys_words_are_text_and_its_passwords_hidden(
    guide: Guide, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_TOKEN", "abcdefgh12345")
    said = f"{QUESTION} postgres://me:hunter2@host/x abcdefgh12345"
    hostile = guide.model_copy(update={"question": said})
    note = summary(written(hostile, tmp_path)).description
    assert "hunter2" not in note
    assert "abcdefgh12345" not in note
    kinds = {token.type for token in MarkdownIt("commonmark").parse(note)}
    assert kinds <= {"paragraph_open", "inline", "paragraph_close"}
    inner = {one.type for token in MarkdownIt("commonmark").parse(note) for one in token.children or ()}
    assert not inner & {"image", "link_open", "html_inline"}


def test_a_long_description_is_cut_to_what_servers_take(guide: Guide, tmp_path: Path) -> None:
    long = guide.model_copy(update={"question": "Which? " * 2000})
    assert len(summary(written(long, tmp_path)).description) == LENGTH


def test_fresh_seeds_figures_are_metrics_by_arm(guide: Guide) -> None:
    found = confirm_metrics(guide)
    claim, stage = guide.claims[0], guide.confirm
    assert stage
    assert stage.baseline
    assert claim.change
    arm = f"confirm/{claim.label.replace(',', '')}"
    result = next(one for one in stage.rows if one.key == claim.key)
    assert found["confirm/baseline/fid_10k"] == stage.baseline.mean
    assert found[f"{arm}/fid_10k"] == result.mean
    assert found[f"{arm}/change"] == claim.change.mean
    assert found[f"{arm}/change low"] == claim.change.low
    assert found[f"{arm}/change high"] == claim.change.high
    assert found[f"{arm}/p"] == claim.p
    assert len(found) <= 1 + 5 * MOST_ARMS


def test_before_the_confirm_stage_has_ended_there_are_none() -> None:
    record = typical()
    running = record.trials[-1].model_copy(update={"state": "running", "rungs": ()})
    for trials in ((), record.trials[:30], (*record.trials[:-1], running)):
        assert confirm_metrics(assemble_guide(make_record(record.study, trials))) == {}


def test_mlflow_takes_every_name_and_no_two_arms_share_one() -> None:
    labels = (*LABELS, "a,b", "a b", "...", "baseline", "x" * 300)
    cells = [setting((place % 4,), 0.01 * (1 + place), 0.5, label) for place, label in enumerate(labels)]
    cells = [one.model_copy(update={"label": label}) for one, label in zip(cells, labels, strict=True)]
    study = make_study(confirm={"top": 9, "seeds": 3})
    rows = [*simulate(study, cells, lambda _: 0.0), *simulate(study, cells, lambda _: 0.0, "confirm", range(100, 103))]
    guide = assemble_guide(make_record(study, rows))
    found = confirm_metrics(guide)
    for name in found:
        _validate_metric_name(name)
    arms = {name.split("/")[1] for name in found}
    assert len(arms) == 1 + min(MOST_ARMS, len(guide.claims))
    assert all(len(name) <= 250 for name in found)
    json.dumps(found, allow_nan=False)
