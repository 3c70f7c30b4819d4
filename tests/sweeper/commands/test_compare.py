"""`sweeper compare A B`: from the ledger or from guides, to a terminal or as JSON."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sweeper import cli
from sweeper.commands import compare as comparing
from sweeper.commands.compare import compare
from sweeper.errors import DataError, StudyError
from sweeper.guide.assemble import assemble_guide
from sweeper.guide.compare.schema import Comparison
from sweeper.records import StudyRecord
from sweeper.study.yaml_files import to_yaml
from sweeper.workspace import Workspace
from tests.sweeper.guide.compare.test_head_to_head import BLOCK_2, strength
from tests.sweeper.guide.compare.two_studies import LARGE, helps, record
from tests.sweeper.guide.study_records import typical

PLACE = Workspace(Path("nowhere"))
Write = Callable[[StudyRecord], Path]


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Write:
    """Write a study file whose record is in the ledger."""
    known: dict[str, StudyRecord] = {}
    monkeypatch.setattr(comparing, "read_recorded", lambda _uri, name, _outbox: known[name])

    def write(one: StudyRecord) -> Path:
        known[one.study.name] = one
        path = tmp_path / f"{one.study.name}.yaml"
        path.write_text(to_yaml(one.study), encoding="utf-8")
        return path

    return write


def report(one: StudyRecord, folder: Path) -> Path:
    folder.mkdir()
    (folder / "guide.json").write_text(assemble_guide(one).model_dump_json(indent=1), encoding="utf-8")
    return folder


def test_recorded_studies_of_one_recipe_meet_on_their_seeds(recorded):
    a, b = recorded(record(strength(0.3), name="a")), recorded(record(strength(0.7), cells=BLOCK_2, name="b"))
    found = compare(a, b, PLACE)
    assert found.names == ("a", "b")
    assert found.head_to_head is not None
    assert found.headline == found.head_to_head.headline
    assert "is confirmed better" in found.headline


def test_guides_alone_are_compared_by_their_claims_and_never_paired(recorded, tmp_path):
    one, two = record(strength(0.3), name="a"), record(strength(0.7), cells=BLOCK_2, name="b")
    folder = report(two, tmp_path / "b")
    for given in (folder, folder / "guide.json"):
        found = compare(recorded(one), given, PLACE)
        assert found.names == ("a", "b")
        assert found.head_to_head is None


def test_a_guide_and_the_record_it_was_made_from_transfer_alike(recorded, tmp_path):
    one, large = record(helps, name="a"), record(helps, LARGE, name="b", random=1)
    from_records = compare(recorded(one), recorded(large), PLACE)
    from_guides = compare(report(one, tmp_path / "x"), report(large, tmp_path / "y"), PLACE)
    assert from_records.transfers
    assert from_records == from_guides


@pytest.mark.parametrize(
    ("content", "error"), [(b"{", DataError), (b"\xff\xfe\x00", DataError), (b"{}", DataError), (None, StudyError)]
)
def test_what_is_no_guide_is_told_with_a_remedy(tmp_path, content, error):
    path = tmp_path / "guide.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(error) as told:
        compare(path, path, PLACE)
    assert str(path) in told.value.message
    assert told.value.remedy


def ran(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["sweeper", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code if isinstance(ended.value.code, int) else 0


def test_the_command_prints_markdown_or_json_and_ends_with_0(monkeypatch, capsys, tmp_path):
    a, b = report(record(helps, name="a"), tmp_path / "a"), report(record(helps, LARGE, name="b"), tmp_path / "b")
    assert ran(monkeypatch, "compare", a, b) == 0
    text = capsys.readouterr().out
    assert text.startswith("# A `a` and B `b`\n\n> **Confirmed to help in each study by itself")
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    assert ran(monkeypatch, "compare", a, b, "--json") == 0
    found = Comparison.model_validate(json.loads(capsys.readouterr().out))
    assert found.transfers


def test_a_study_that_was_never_run_ends_with_2(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "one.yaml"
    path.write_text(to_yaml(record(helps).study), encoding="utf-8")
    assert ran(monkeypatch, "compare", path, path) == 2
    printed = capsys.readouterr()
    assert "nothing is recorded of a study" in printed.err
    assert printed.out == ""


def test_every_word_of_a_study_is_printed_as_it_was_written(recorded):
    from sweeper.render.comparison import comparison_markdown

    found = compare(recorded(typical()), recorded(record(helps, name="b")), PLACE)
    odd = found.model_copy(update={"headline": "a <b> | c\n# no heading"})
    text = comparison_markdown(odd)
    assert "> **a &lt;b> | c # no heading**" in text
