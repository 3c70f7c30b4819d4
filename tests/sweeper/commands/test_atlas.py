"""`sweeper atlas`: what it reads, and what it says of what it cannot."""

from pathlib import Path

import pytest

from sweeper.commands.atlas import make_atlas, read_atlas
from sweeper.errors import SetupError, StudyError
from tests.places import ROOT
from tests.sweeper.guide.atlas.many_studies import record

PLANTED = "positive_control=a planted defect"  # as README makes the shipped atlas


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    made = [tmp_path / name for name in ("a", "b")]
    for number, folder in enumerate(made):
        folder.mkdir()
        study = record(folder.name, train={"steps": 800 + number})
        (folder / "record.json").write_text(study.model_dump_json(by_alias=True))
        (folder / "guide.json").write_text("{}")
    return made


def test_a_folder_its_record_and_its_guide_are_one_study(folders: list[Path]) -> None:
    given = [folders[0], folders[0] / "record.json", folders[1] / "guide.json", folders[1]]
    assert [row.studies for row in read_atlas(given).scopes] == [("a",), ("b",)]


def test_a_guide_without_its_record_is_listed_with_the_reason(folders: list[Path]) -> None:
    (folders[1] / "record.json").unlink()
    atlas = read_atlas([folders[0], folders[1] / "guide.json"])
    assert [(one.study, one.reason) for one in atlas.unused] == [
        ("b", "holds no record.json, and a guide alone has no single trials")
    ]


def test_a_record_of_another_version_is_listed_with_the_reason(folders: list[Path]) -> None:
    (folders[1] / "record.json").write_text("{}")
    [unused] = read_atlas(folders).unused
    assert unused.study == "b"
    assert "no record that this version reads" in unused.reason
    assert str(folders[1]) not in unused.reason


def test_a_path_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="nowhere is not there"):
        read_atlas([tmp_path / "nowhere"])


def test_two_records_of_one_name_are_refused(folders: list[Path], tmp_path: Path) -> None:
    other = tmp_path / "c"
    other.mkdir()
    (other / "record.json").write_text(record("a", random=7).model_dump_json(by_alias=True))
    with pytest.raises(StudyError, match="another record of a study 'a'"):
        read_atlas([*folders, other])


def test_a_study_that_is_to_be_left_out_is_listed_and_changes_nothing(folders: list[Path]) -> None:
    atlas = read_atlas(folders, ["b"])
    assert [(one.study, one.reason) for one in atlas.unused] == [("b", "left out by --without")]
    assert atlas.model_copy(update={"unused": ()}) == read_atlas(folders[:1])
    (left,) = read_atlas(folders, ["b=a planted defect"]).unused
    assert left.reason == "a planted defect"


def test_a_name_to_leave_out_that_no_study_has_is_refused(folders: list[Path]) -> None:
    with pytest.raises(StudyError, match="--without c: no study of that name"):
        read_atlas(folders, ["c"])


def test_a_folder_that_cannot_be_written_is_named(folders: list[Path], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SetupError, match="file/atlas cannot be written"):
        make_atlas(folders, tmp_path / "file" / "atlas")


def test_the_shipped_atlas_is_that_of_the_shipped_records(tmp_path: Path) -> None:
    shipped = ROOT / "reports" / "atlas"
    _, made = make_atlas(sorted(ROOT.glob("reports/*/record.json")), tmp_path, [PLANTED])
    anew = f"sweeper atlas reports/*/record.json --without {PLANTED!r}"
    assert made.read_text(encoding="utf-8") == (shipped / "atlas.md").read_text(encoding="utf-8"), anew
