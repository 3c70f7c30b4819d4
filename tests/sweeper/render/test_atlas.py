"""An atlas as markdown, HTML and JSON."""

from pathlib import Path

import jsonschema
import pytest

from sweeper.guide.atlas.assemble import assemble_atlas
from sweeper.guide.atlas.schema import Atlas, Unused
from sweeper.render.atlas import atlas_schema, render_atlas, write_atlas
from tests.places import ROOT
from tests.sweeper.guide.atlas.many_studies import lambda_hurts, last_block_is_best, nothing, scopes


@pytest.fixture(scope="module")
def found() -> Atlas:
    return assemble_atlas(scopes(last_block_is_best))


def test_a_heuristic_is_in_the_table_and_its_evidence_in_the_points(found: Atlas) -> None:
    text = render_atlas(found)
    assert "made from 6 scopes on 2 data sets held wherever a scope was left out" in text
    assert "Of blocks, choose one in the last third of the network." in text
    assert render_atlas(assemble_atlas(scopes(nothing))).count("| none ") == 2
    assert "is about scopes on 2 data sets, digits, mnist5k" in text


def test_rules_that_are_none_say_why() -> None:
    text = render_atlas(assemble_atlas(scopes([last_block_is_best] * 3 + [nothing] * 3)))
    assert "## Rejected rules" in text
    assert "not shown over scopes" in text
    rejected = text.split("## Rejected rules")[1].split("##")[0]
    assert "first third is the best place of the block" in rejected
    assert "hurts" in rejected
    assert "Avoid" not in rejected  # as advice it would be read as advice


def test_a_reader_with_another_model_is_told_where_to_begin() -> None:
    text = render_atlas(assemble_atlas(scopes(nothing))).split("## For a new model")[1].split("\n## ")[0]
    assert "Begin with lambda 0: a setting of the loss is confirmed to help in 0 of 6 scopes." in text
    assert "To try the loss, begin where least is at stake: a lambda whose weight (" in text
    assert "sweeper init --from" in text
    assert "## For a new model" not in render_atlas(assemble_atlas([]))


def test_an_atlas_of_nothing_says_so_and_lists_what_it_could_not_use() -> None:
    text = render_atlas(assemble_atlas([], [Unused(study="a <b>", reason="it is of another version")]))
    assert "> **No heuristic: none of these studies can be used.**" in text
    assert "a &lt;b>" in text
    assert "## Heuristics" not in text


def test_two_scopes_have_no_interval_that_would_say_nothing() -> None:
    text = render_atlas(assemble_atlas(scopes(lambda_hurts, count=2)))
    assert "2 scopes" in text
    assert "too few scopes" in text
    assert " rules could not be tested" in text
    assert "further" not in text  # than none


def test_every_form_is_written_and_the_json_keeps_its_schema(found: Atlas, tmp_path: Path) -> None:
    assert write_atlas(found, tmp_path / "atlas").name == "atlas.md"
    jsonschema.validate(found.model_dump(mode="json"), atlas_schema())
    assert Atlas.model_validate_json((tmp_path / "atlas" / "atlas.json").read_bytes()) == found
    page = (tmp_path / "atlas" / "atlas.html").read_text(encoding="utf-8")
    assert "<h1>What travels from study to study</h1>" in page
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")  # a name, not a place


def test_a_page_that_somebody_changed_is_kept_under_another_name(found: Atlas, tmp_path: Path) -> None:
    write_atlas(found, tmp_path)
    (tmp_path / "atlas.md").write_text("my own words")
    write_atlas(found, tmp_path)
    assert (tmp_path / "atlas.edited.md").read_text() == "my own words"


def test_the_shipped_page_is_that_of_the_shipped_atlas(tmp_path: Path) -> None:
    shipped = ROOT / "reports/atlas"
    write_atlas(Atlas.model_validate_json((shipped / "atlas.json").read_bytes()), tmp_path)
    written = (tmp_path / "atlas.html").read_text(encoding="utf-8")
    assert written == (shipped / "atlas.html").read_text(encoding="utf-8"), (
        "sweeper atlas reports/*/record.json --without 'positive_control=a planted defect'"
    )
