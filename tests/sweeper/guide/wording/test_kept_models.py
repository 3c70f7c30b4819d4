"""A guide says whose weights were kept, where they are, and how images are drawn from them."""

from __future__ import annotations

import json
import shlex

import pytest

from sweeper.guide.assemble import assemble_guide
from sweeper.guide.schema.guide import Guide
from sweeper.guide.wording.kept_models import kept_models
from sweeper.records import StudyRecord
from sweeper.render.latex import render_latex
from sweeper.render.markdown import render_markdown
from sweeper.render.tables.guide_tables import MOST_ROWS, model_table
from tests.sweeper.guide.study_records import BASELINE, grid_cells, make_record, make_study, setting, trial, typical

CELL = setting((1,), 0.25, 0.5)
WEIGHTS = "weights.safetensors"


def recorded(*kept: str, command: str = "sweeper run studies/mine.yaml --yes") -> StudyRecord:
    """A screen and a confirm stage of one setting, with the weights of these stages' trials."""
    trials = [
        trial(cell, seed, stage=stage).model_copy(update={"weights": WEIGHTS if stage in kept else ""})
        for stage, seeds in (("screen", (0, 1)), ("confirm", (9, 7)))
        for cell in (BASELINE, CELL)
        for seed in seeds
    ]
    record = make_record(make_study(), trials)
    return record.model_copy(update={"provenance": record.provenance.model_copy(update={"command": command})})


def test_the_settings_seeds_and_trials_of_kept_weights_are_listed_the_confirm_stages_first() -> None:
    baseline, setting_, *screened = kept_models(recorded("screen", "confirm"))
    assert (baseline.stage, baseline.seeds) == ("confirm", (7, 9))
    assert baseline.trials == ("confirm.baseline.7", "confirm.baseline.9")
    assert (setting_.label, setting_.trials[0]) == (CELL.label, f"confirm.{CELL.key}.7")
    assert [one.stage for one in screened] == ["screen", "screen"]


def test_the_guide_names_artifact_run_and_command_in_markdown_and_latex() -> None:
    guide = assemble_guide(recorded("confirm"))
    text = render_markdown(guide, {})
    assert f"kept, each as the artifact {WEIGHTS} of the trial's run in MLflow" in text
    assert "```sh\nsweeper sample studies/mine.yaml confirm.baseline.7\n```" in text
    assert f"confirm.{CELL.key}.7" in text
    assert "Weights that were kept" in render_latex(guide)


def test_where_none_were_kept_and_in_older_records_nothing_is_said_of_it() -> None:
    tree = typical().model_dump(mode="json", by_alias=True)
    for one in tree["trials"]:
        del one["weights"]
    older = StudyRecord.model_validate_json(json.dumps(tree))
    assert older == typical()
    guide = assemble_guide(older)
    assert "artifact weights" not in render_markdown(guide, {})
    before = guide.model_dump(mode="json")
    del before["models"]
    assert Guide.model_validate_json(json.dumps(before)) == guide


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (
            "sweeper run a.yaml --workspace 'my ws' --reports r",
            ["a.yaml", "confirm.baseline.7", "--workspace", "my ws"],
        ),
        ("sweeper run a.yaml --tracking=http://h:5", ["a.yaml", "confirm.baseline.7", "--tracking=http://h:5"]),
        ("sweeper run a.yaml --set 'x=\"", ["block_temp", "confirm.baseline.7"]),
        ("sweeper run a.yaml --across train.lr=1,2", ["block_temp", "confirm.baseline.7"]),
        ("python mine.py", ["block_temp", "confirm.baseline.7"]),
    ],
)
def test_the_command_leads_to_where_the_study_was_run(command: str, words: list[str]) -> None:
    made = kept_models(recorded("confirm", command=command))[0].command
    assert shlex.split(made) == ["sweeper", "sample", *words]


def test_a_long_list_ends_with_how_many_more_there_are() -> None:
    study = make_study(space={"block": [0, 1, 2, 3], "lambda": [0.01, 0.02, 0.03, 0.04], "tau": [0.25, 0.5, 1.0]})
    kept = [trial(cell, 0).model_copy(update={"weights": WEIGHTS}) for cell in grid_cells(study)]
    rows = model_table(assemble_guide(make_record(study, [trial(BASELINE, 0), *kept]))).rows
    assert len(rows) == MOST_ROWS + 1
    assert rows[-1][0] == f"{len(kept) - MOST_ROWS} more, listed in guide.json"
