"""A guide's own files: replaced while nobody changed them, kept under another name where somebody did."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sweeper.commands.report import publish_record
from sweeper.records import StudyRecord
from sweeper.render import guide_files, write_guide
from sweeper.render.guide_files import DIGESTS, NAMES, OwnFiles
from tests.sweeper.guide.study_records import grid_png, make_record, make_study, typical


def whole() -> StudyRecord:
    """A record whose guide has every picture: a front too."""
    record = typical()
    return record.model_copy(update={"study": record.study.model_copy(update={"second_objectives": ("recall",)})})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A guide in every form, its record beside it, made once: drawing takes seconds."""
    folder = tmp_path_factory.mktemp("made") / "guide"
    write_guide(whole(), folder, grid_png, "html")
    (folder / "guide.tex").write_text("an earlier form")
    OwnFiles(folder).write("guide.tex", "an earlier form")
    OwnFiles(folder).write("record.json", whole().model_dump_json(by_alias=True) + "\n")
    assert {path.name for path in folder.iterdir() if path.suffix != ".yaml"} == {*NAMES, DIGESTS}
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy of it, in its study's own folder."""
    return Path(shutil.copytree(made, tmp_path / typical().study.name))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_guide_that_nobody_changed_is_replaced_without_a_word(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    names = set(contents(folder))
    write_guide(make_record(make_study(question="Which one, really?"), []), folder, grid_png)
    assert "Which one, really?" in (folder / "guide.html").read_text()
    assert set(contents(folder)) < names
    assert not caplog.messages


def test_whichever_file_somebody_changed_is_kept_under_another_name_and_a_warning_names_both(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder.parent / "record.json").write_bytes((folder / "record.json").read_bytes())
    for name in NAMES:
        with (folder / name).open("ab") as file:
            file.write(b"\n")
    changed = contents(folder)
    publish_record(folder.parent / "record.json", folder.parent)
    after = contents(folder)
    drawn_anew = [name for name in NAMES if not name.startswith("samples.")]  # which a record alone does not hold
    for name in drawn_anew:
        stem, _, suffix = name.partition(".")
        kept = f"{stem}.edited.{suffix}"
        assert after.pop(kept) == changed[name]
        assert (
            f"{folder / name} was changed by hand and is kept as {kept}; a new one takes its place" in caplog.messages
        )
    assert len(caplog.messages) == len(drawn_anew)
    assert after.keys() == changed.keys()
    assert {path.name for path in guide_files(folder)} == {*NAMES, "block_temp_next.yaml"}


def test_a_second_change_does_not_replace_the_first_and_none_is_kept_twice(tmp_path: Path) -> None:
    for words in ("one", "two", "three"):
        OwnFiles(tmp_path).write("guide.md", "ours")
        OwnFiles(tmp_path).write("guide.md", "ours again")
        (tmp_path / "guide.md").write_text(words)
    OwnFiles(tmp_path).write("guide.md", "ours")
    kept = [(tmp_path / f"guide.edited{number}.md").read_text() for number in ("", ".2", ".3")]
    assert kept == ["one", "two", "three"]
    assert len(list(tmp_path.iterdir())) == 5


def test_a_picture_that_has_no_reason_any_more_is_removed_unless_somebody_changed_it(folder: Path) -> None:
    (folder / "curves.png").write_bytes(b"mine")
    write_guide(make_record(make_study(), []), folder, grid_png)
    assert not (folder / "health.png").exists()
    assert not (folder / "curves.png").exists()
    assert (folder / "curves.edited.png").read_bytes() == b"mine"


@pytest.mark.parametrize("digests", [None, "", "[" * 100_000, '{"guide.md": 3}', "[1]", '"guide.md"', "folder"])
def test_where_nothing_is_known_of_what_was_written_files_are_replaced_as_they_always_were(
    tmp_path: Path, digests: str | None
) -> None:
    (tmp_path / "guide.md").write_text("an earlier version's")
    (tmp_path / "overview.png").write_text("an earlier version's")
    if digests == "folder":
        (tmp_path / DIGESTS).mkdir()
    elif digests is not None:
        (tmp_path / DIGESTS).write_text(digests)
    OwnFiles(tmp_path).write("guide.md", "new")
    assert (tmp_path / "guide.md").read_text() == "new"
    OwnFiles(tmp_path).write("overview.png", "new")
    left = {path.name for path in tmp_path.iterdir()} - {f"{DIGESTS}.1.aside"}
    assert left == {"guide.md", "overview.png", DIGESTS}


def test_a_file_of_a_guides_name_that_was_never_written_here_is_the_users(tmp_path: Path) -> None:
    OwnFiles(tmp_path).write("guide.md", "ours")
    (tmp_path / "guide.html").write_text("mine")
    OwnFiles(tmp_path).write("guide.html", "ours")
    assert (tmp_path / "guide.edited.html").read_text() == "mine"


def test_a_process_that_ends_between_digest_and_file_leaves_no_stranger(tmp_path: Path) -> None:
    OwnFiles(tmp_path).write("guide.md", "first")
    OwnFiles(tmp_path).write("guide.md", "second")  # its digest is written before it is
    (tmp_path / "guide.md").write_text("first")
    OwnFiles(tmp_path).write("guide.md", "third")
    assert {path.name for path in tmp_path.iterdir()} == {"guide.md", DIGESTS}
