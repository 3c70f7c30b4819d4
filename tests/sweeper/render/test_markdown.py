from __future__ import annotations

import json
import re
from pathlib import Path
from typing import get_args

import pytest

from sweeper.commands.report import read_record
from sweeper.guide.assemble import assemble_guide
from sweeper.guide.schema.guide import Guide
from sweeper.records import StudyRecord
from sweeper.render.guide_folder import write_guide
from sweeper.render.markdown import render_markdown
from sweeper.render.tables.guide_tables import MOST_ROWS, table
from sweeper.render.tables.sections import Fold
from sweeper.render.tables.table import prose, to_markdown
from tests.places import ROOT
from tests.sweeper.guide.analysis.test_guidance_curves import guide_of
from tests.sweeper.guide.study_records import (
    BASELINE,
    FACTS,
    grid_cells,
    grid_png,
    harmful,
    make_record,
    make_study,
    setting,
    simulate,
    trial,
    typical,
)


def markdown(record: StudyRecord) -> str:
    return render_markdown(assemble_guide(record), {})


def tables(text: str) -> list[list[str]]:
    found: list[list[str]] = [[]]
    for line in text.splitlines():
        if line.startswith("|"):
            found[-1].append(line)
        elif found[-1]:
            found.append([])
    return [one for one in found if one]


def test_the_verdict_stands_in_the_first_ten_lines() -> None:
    top = "\n".join(markdown(typical()).splitlines()[:10])
    assert "No evidence that any setting helps" in top
    assert "lambda 0" in top
    assert "this applies only to digits" in top


def test_what_to_use_stands_below_the_verdict_and_all_evidence_is_folded() -> None:
    text = markdown(typical())
    verdict, use, evidence = (text.index(part) for part in ("> **", "## What to use", "## Evidence"))
    assert verdict < text.index("| knob ") < evidence
    assert use < text.index("| lambda ") < evidence
    assert len(text[:evidence].splitlines()) < 45
    outside = re.sub(r"<details>.*?</details>", "", text[evidence:], flags=re.DOTALL)
    assert "|" not in outside
    glossary = outside.split("## Glossary")[1]
    assert len(re.findall(r"^- \*\*", glossary, flags=re.MULTILINE)) == 10


def test_every_table_is_rectangular_and_aligned_for_a_terminal() -> None:
    for rows in tables(markdown(typical())):
        assert len({len(row) for row in rows}) == 1
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) == 1


def test_checks_that_fail_and_the_next_step_stand_on_the_front_page() -> None:
    front = markdown(read_record(ROOT / "reports" / "positive_control" / "record.json")).split("## Evidence")[0]
    failing = front.split("**Checks that fail**:")[1].split("**Next**:")[0].split("\n- ")[1:]
    assert [line.partition(":")[0] for line in failing] == ["*seeds*", "*health*"]
    assert "the setting to use has features of 13 times the baseline's norm" in failing[1]
    assert "`positive_control_next.yaml`, written beside this guide" in front


def test_a_screen_names_no_winner() -> None:
    study = make_study()
    text = markdown(make_record(study, simulate(study, grid_cells(study), harmful))).lower()
    assert not re.search(r"\b(single best is|winner:|optimal|improves|confirmed helps)\b", text.split("<b>protocol")[0])
    bold = re.findall(r"\*\*(.+?)\*\*", text.split("## glossary")[0])
    assert "no claim" in bold[0]
    assert bold[1:] == ["checks that fail", "next"]


def test_a_cell_tells_mean_spread_seeds_and_what_was_stopped() -> None:
    cell = setting((1,), 0.01, 0.5)
    rows = [trial(BASELINE, s, 12.0) for s in range(3)]
    rows += [trial(cell, 0, 10.0), trial(cell, 1, 12.0), trial(cell, 2, 40.0, state="pruned")]
    assert "11.0 ± 1.4 (2), 1 stopped at 400" in markdown(make_record(make_study(), rows))


def test_a_trial_dropped_before_it_started_is_not_said_to_have_stopped() -> None:
    cell, marked = setting((1,), 0.01, 0.5), setting((2,), 0.01, 0.5, mark="the marked one")
    rows = [trial(BASELINE, s, 12.0) for s in range(3)]
    rows += [trial(cell, 0, 10.0), trial(cell, 1, 40.0, state="pruned"), trial(cell, 2, None, state="pruned")]
    rows += [trial(marked, s, None, state="pruned") for s in range(3)]
    text = markdown(make_record(make_study(), rows))
    assert "10.0 (1), 1 stopped at 400, 1 not started" in text
    assert re.search(r"\| not started † +\|", text)
    assert "The marked one (block 2, lambda 0.01, tau 0.5) was not started." in text
    assert "not started: the pruner had already dropped it, no claim" in text
    assert "stopped at 0" not in text


def test_one_seed_in_the_screen_is_said_of_the_screen_alone() -> None:
    study, cell = make_study(), setting((1,), 0.01, 0.5)
    trials = simulate(study, [cell], harmful, random=1)[::3] + simulate(
        study, [cell], harmful, "confirm", range(100, 105)
    )
    text = markdown(make_record(study, trials))
    assert "spread in the screen stage is not known: fewer than two of its trials there have finished" in text
    assert "no setting of the screen stage shares two seeds with the baseline" in text
    assert "Safe ranges and steps are not known: " in text


def test_saturated_and_marked_cells_carry_a_sign_that_is_explained() -> None:
    text = markdown(typical())
    assert re.search(r"\(3\) ◦ †", text)
    assert "† paper's tau and block" in text
    assert "◦ more than 10 % of steps at the floor" in text


def test_unmarked_studies_explain_no_signs() -> None:
    study = make_study()
    text = markdown(make_record(study, simulate(study, [setting((0,), 0.001, 1.0)], harmful)))
    assert "◦" not in text
    assert "†" not in text


def test_continuous_knobs_become_a_list() -> None:
    study = make_study(
        space={"block": [0, 1], "lambda": {"low": 1e-4, "high": 1, "count": 9}, "tau": [0.5]},
        screen={"sampler": "random", "trials": 9},
    )
    guide = assemble_guide(make_record(study, simulate(study, [setting((0,), 0.0123, 0.5)], harmful)))
    assert guide.pages == ()
    assert "| block 0, lambda 0.0123, tau 0.5" in render_markdown(guide, {})


def test_a_hundred_columns_turn_into_rows_or_a_list_of_the_lowest() -> None:
    taus = [round(0.01 * i, 2) for i in range(1, 101)]
    study = make_study(space={"block": [0, 1], "lambda": [0.01], "tau": taus})
    guide = assemble_guide(make_record(study, simulate(study, grid_cells(study), harmful)))
    assert [len(page.columns) for page in guide.pages] == [2]
    text = render_markdown(guide, {})
    assert f"The {MOST_ROWS} lowest means of 200 settings" in text
    assert max(map(len, tables(text))) <= MOST_ROWS + 3


def test_one_block_lays_out_lambda_by_tau_on_a_single_page() -> None:
    study = make_study(space={"block": [1], "lambda": [0.01, 0.25], "tau": [0.5, 1.0]})
    (page,) = assemble_guide(make_record(study, simulate(study, grid_cells(study), harmful))).pages
    assert (page.title, page.row_name, page.column_name) == ("block 1", "lambda", "tau")


def test_a_study_without_a_finished_baseline_compares_nothing() -> None:
    rows = [trial(BASELINE, 0, None, state="running"), trial(setting((1,), 0.01, 0.5), 0, 11.0)]
    guide = assemble_guide(make_record(make_study(), rows))
    assert guide.verdict.kind == "no baseline"
    assert "### Change to the baseline" not in render_markdown(guide, {})


def test_a_study_whose_every_setting_was_stopped_says_so() -> None:
    study = make_study()
    rows = simulate(study, grid_cells(study), harmful, stopped=lambda _: True)
    guide = assemble_guide(make_record(study, rows))
    assert guide.verdict.kind == "no setting finished"
    assert "stopped at 400" in render_markdown(guide, {})


def test_an_empty_study_has_a_guide() -> None:
    guide = assemble_guide(make_record(make_study(), []))
    assert guide.verdict.kind == "nothing measured"
    assert "Nothing measured yet" in render_markdown(guide, {})


def test_one_seed_has_no_interval_and_says_so() -> None:
    rows = [trial(BASELINE, 0, 12.0), trial(setting((1,), 0.01, 0.5), 0, 11.0)]
    assert "-8.3 % (one seed, no interval)" in markdown(make_record(make_study(), rows))


def test_a_study_with_only_fresh_seeds_is_told_as_such() -> None:
    study = make_study()
    rows = simulate(study, [setting((1,), 0.01, 0.5)], harmful, "confirm", range(100, 105))
    guide = assemble_guide(make_record(study, rows))
    assert guide.verdict.kind == "no evidence"
    assert guide.main.stage == "confirm"


def test_missing_health_is_said_not_shown() -> None:
    rows = [
        one.model_copy(update={"rungs": tuple(r.model_copy(update={"metrics": {"fid_10k": 9.0}}) for r in one.rungs)})
        for one in typical().trials
    ]
    text = markdown(make_record(make_study(), rows))
    assert "No health was recorded." in text
    assert "None was recorded." in text


@pytest.mark.parametrize("text", ["a | b", "<script>x</script>", "two\nlines", "[x](http://y)"])
def test_a_studys_words_cannot_break_the_page(text: str) -> None:
    study = make_study(question=text, tuning=text)
    written = markdown(make_record(study, [trial(BASELINE, 0, 12.0)]))
    assert "<script" not in written
    assert "](http" not in written
    assert len(to_markdown(table(("x",), [(text,)])).splitlines()) == 3
    assert "\n" not in prose(text)


def test_protocol_and_provenance_name_what_a_figure_depends_on() -> None:
    text = markdown(typical())
    for fact in (FACTS.data_hash, FACTS.extractor_sha256, "10,000", "euler, 10 NFE", "0123456789abcdef", "3.20e-08"):
        assert fact in text


def test_write_guide_leaves_the_guide_its_numbers_and_its_pictures(tmp_path: Path) -> None:
    path = write_guide(typical(), tmp_path / "deep" / "guide", grid_png)
    text = path.read_text(encoding="utf-8")
    linked = set(re.findall(r"\]\((\w+\.png)\)", text))
    assert linked == {one.name for one in path.parent.glob("*.png")}
    assert linked == {"overview.png", "intervals.png", "curves.png", "health.png", "samples.png"}
    stored = json.loads((path.parent / "guide.json").read_text(encoding="utf-8"))
    assert Guide.model_validate(stored) == assemble_guide(typical())


def test_writing_twice_gives_the_same_bytes_and_leaves_no_stale_picture(tmp_path: Path) -> None:
    write_guide(typical(), tmp_path, grid_png)
    first = {one.name: one.read_bytes() for one in tmp_path.iterdir()}
    write_guide(typical(), tmp_path, grid_png)
    assert {one.name: one.read_bytes() for one in tmp_path.iterdir()} == first
    write_guide(make_record(make_study(), []), tmp_path, lambda _: None)
    assert not list(tmp_path.glob("*.png"))


def test_a_section_with_a_fold_stands_at_its_end_under_its_caption() -> None:
    text = render_markdown(guide_of({"cfg_curve": [1, 1.5, 2], "cfg_samples": 2500}), {})
    part = next(fold for fold in text.split("<details>") if "Other outcomes and guidance" in fold)
    under = part[part.index("Guidance trades variety (recall) for fidelity (precision):") :]
    assert under.splitlines()[2].startswith("| precision / recall")
    assert under.count("\n#") == 0


def test_every_fold_a_section_may_name_is_in_the_template() -> None:
    template = (ROOT / "sweeper/render/templates/guide.md.j2").read_text(encoding="utf-8")
    assert re.findall(r'^\{\{ fold\(.*"(\w+)"\) \}\}$', template, re.MULTILINE) == [*get_args(Fold)]
