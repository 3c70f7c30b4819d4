"""Small files: whole, remade where something else lies in their place, and read without a traceback."""

import os

import pytest

from trainer.runtime.files import read_json, write_whole


def test_a_file_that_could_not_be_written_leaves_the_old_one_and_nothing_beside_it(tmp_path, monkeypatch):
    path = tmp_path / "kept.json"
    write_whole(path, "old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, "new")
    assert [file.name for file in tmp_path.iterdir()] == ["kept.json"]
    assert path.read_text() == "old"


def test_a_folder_that_is_not_there_is_named_and_no_file_of_ours(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such folder") as error:
        write_whole(tmp_path / "nowhere" / "kept.json", "new")
    assert error.value.filename == str(tmp_path / "nowhere")


def test_a_folder_in_the_place_of_a_file_is_moved_aside_and_not_deleted(tmp_path):
    for number in (1, 2):
        (tmp_path / "kept.json").mkdir()
        (tmp_path / "kept.json" / "mine").write_text(str(number))
        write_whole(tmp_path / "kept.json", b"new")
        assert (tmp_path / f"kept.json.{number}.aside" / "mine").read_text() == str(number)
        (tmp_path / "kept.json").unlink()


@pytest.mark.parametrize("content", [b"", b'{"a": ', b"\xff\xfe\x00", b"[" * 100_000 + b"]" * 100_000])
def test_json_that_is_none_is_a_value_error_however_it_is_broken(tmp_path, content):
    (tmp_path / "broken.json").write_bytes(content)
    with pytest.raises(ValueError):  # noqa: PT011 (each has words of its own)
        read_json(tmp_path / "broken.json")
