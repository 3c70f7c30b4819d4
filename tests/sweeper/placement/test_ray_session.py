"""Where a Ray of ours keeps its sockets: a path that the system can take, however long TMPDIR is."""

from __future__ import annotations

import socket
import tempfile
from pathlib import Path

import pytest

from sweeper.errors import SetupError
from sweeper.placement.ray_session import LONGEST_SCRATCH, _scratch, session
from sweeper.study import Resources

# Below the folder, with a session's time and a process id of seven digits.
LONGEST_SOCKET = "r/session_2026-11-27_21-06-47_123456_1234567/sockets/plasma_store"


def holds_a_socket(folder: str) -> None:
    path = Path(folder, LONGEST_SOCKET)
    path.parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))


def test_a_short_temporary_folder_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="t") as short:
        assert len(short) <= LONGEST_SCRATCH
        longest = Path(short, "x" * (LONGEST_SCRATCH - len(short) - 1))
        longest.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(longest))
        with _scratch() as folder:
            assert Path(folder).parent == longest
            holds_a_socket(folder)
        assert not list(longest.iterdir())


def test_a_temporary_folder_too_long_for_rays_sockets_is_replaced(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    long = tmp_path / ("x" * 60)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with _scratch() as folder:
        assert Path(folder).parent == Path("/tmp")
        holds_a_socket(folder)
    assert not Path(folder).exists()
    assert not list(long.iterdir())


def test_a_temporary_folder_that_is_not_there_is_said_to_be_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/tmp/not-there")
    with pytest.raises(SetupError, match="cannot create a temporary folder"), _scratch():
        pass


def test_a_ray_of_the_callers_own_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ray.is_initialized", lambda: True)
    monkeypatch.setattr("ray.shutdown", lambda: pytest.fail("it was ended"))
    with pytest.raises(SetupError, match="Ray already runs in this process"), session(Resources(), None):
        pass
