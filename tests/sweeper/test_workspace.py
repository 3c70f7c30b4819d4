import fcntl
import os
import subprocess
import sys
from pathlib import Path
from threading import Event, Thread, Timer

import pytest

from sweeper.errors import ConflictError, SetupError, StudyError
from sweeper.study import Study
from sweeper.study.registration import Registration
from sweeper.workspace import Workspace


def study(**changes: object) -> Study:
    return Study.model_validate(
        {"name": "one", "question": "?", "space": {"block": [1], "lambda": [0.1]}, "confirm": {"top": 1}} | changes
    )


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "ws")


def test_everything_lies_under_the_root_unless_a_url_says_otherwise(tmp_path):
    own = Workspace(tmp_path)
    assert own.tracking_uri == f"sqlite:///{tmp_path}/mlflow.db"
    assert own.store_url == f"sqlite:///{tmp_path}/optuna.db"
    other = Workspace(tmp_path, tracking="http://host:5000", store="postgresql://host/db")
    assert (other.tracking_uri, other.store_url) == ("http://host:5000", "postgresql://host/db")
    assert other.artifacts is None


@pytest.mark.parametrize("password", ["Topp@Hush1", "Topp/Hush1", "Topp#Hush1", "Topp?Hush1", "Topp@Hu/sh1", "@"])
@pytest.mark.parametrize("option", ["tracking", "store"])
def test_a_password_that_a_url_would_take_for_a_host_is_refused_and_not_repeated(tmp_path, option, password):
    given = {option: f"postgresql://lab:{password}@127.0.0.1:5544/search"}
    with pytest.raises(StudyError, match=f"--{option}: the user or password holds a sign") as refused:
        Workspace(tmp_path, **given)
    assert "Topp" not in refused.value.message + refused.value.remedy
    assert "Hush" not in refused.value.message + refused.value.remedy
    assert "%40" in refused.value.remedy


def test_a_password_that_is_encoded_and_an_at_sign_in_a_query_that_is_encoded_are_taken(tmp_path):
    url = "postgresql://lab:Topp%40Hush%2F@127.0.0.1:5544/search?application_name=me%40home"
    assert Workspace(tmp_path, store=url).store_url == url
    with pytest.raises(StudyError, match="SQLAlchemy knows no postgres://"):
        Workspace(tmp_path, store="postgres://lab@host/search")


def test_a_study_is_held_by_one_process_and_freed_when_that_dies(workspace):
    code = (
        "import sys, pathlib; from sweeper.workspace import Workspace\n"
        "with Workspace(pathlib.Path(sys.argv[1])).lock('one'):\n"
        "    print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(workspace.root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(ConflictError, match=f"being run by process {holder.pid}"), workspace.lock("one"):
            pass
        holder.kill()
        holder.wait()
    with workspace.lock("one"):
        pass


def test_those_who_ask_at_once_who_runs_a_study_do_not_take_each_other_for_its_runner(workspace):
    workspace.folder("one").mkdir(parents=True)
    with (workspace.folder("one") / "lock").open("ab") as another:
        fcntl.flock(another, fcntl.LOCK_SH)
        assert workspace.runner("one") == ""


def test_a_run_that_starts_while_somebody_asks_who_runs_the_study_is_not_refused(workspace):
    workspace.folder("one").mkdir(parents=True)
    with (workspace.folder("one") / "lock").open("ab") as another:
        fcntl.flock(another, fcntl.LOCK_SH)
        Timer(0.3, fcntl.flock, (another, fcntl.LOCK_UN)).start()
        with workspace.lock("one"):
            assert workspace.runner("one") == str(os.getpid())


def test_a_run_waits_for_one_that_ends_and_takes_its_folder_along(workspace):
    held, ended = Event(), Event()

    def briefly() -> None:
        with workspace.lock("one"):
            held.set()
            ended.wait()

    before = Thread(target=briefly)
    before.start()
    held.wait()
    Timer(0.2, ended.set).start()
    with workspace.lock("one"):
        assert workspace.folder("one").is_dir()
    before.join()


def test_a_study_that_was_not_registered_leaves_nothing_behind(workspace):
    with pytest.raises(ZeroDivisionError), workspace.lock("one"):
        _ = 1 / 0
    assert not workspace.root.exists()
    with workspace.lock("one"):
        workspace.register(Registration.of(study(), workspace.root))
    assert workspace.registration("one").study == study()


@pytest.mark.parametrize("content", ['{"name": ', "", "[" * 100_000])
def test_a_registration_that_cannot_be_read_is_told_and_not_a_traceback(workspace, content):
    workspace.folder("one").mkdir(parents=True)
    (workspace.folder("one") / "study.json").write_text(content)
    with pytest.raises(ConflictError, match="is damaged"):
        workspace.registration("one")


def test_a_path_that_no_database_url_can_carry_is_refused(tmp_path):
    with pytest.raises(SetupError, match=r"cannot have \? or #"):
        Workspace(tmp_path / "what?")


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SetupError, match="cannot be written"), Workspace(tmp_path / "file" / "ws").lock("one"):
        pass
