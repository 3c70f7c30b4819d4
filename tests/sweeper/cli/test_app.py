"""The command line in process: what it prints, where, and with which exit code."""

import json
import os
import re
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from sweeper import cli
from sweeper.cli.help_pages import GROUPS
from sweeper.errors import ConflictError, DataError, SetupError, StudyError, SweeperError
from sweeper.study.yaml_files import read_study
from tests.conftest import copy_database
from tests.places import ROOT

STUDY = ROOT / "studies" / "smoke.yaml"
GOLDEN = ROOT / "tests" / "golden" / "help.txt"
COMMANDS = [command for group in GROUPS.values() for command in group]


class Ran:
    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


Run = Callable[..., Ran]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Run the entry point as the installed script does, in a folder of its own."""

    def run(*arguments: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["sweeper", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        printed = capsys.readouterr()
        code = ended.value.code
        return Ran(code if isinstance(code, int) else 0, printed.out, printed.err)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("SWEEPER_WORKSPACE", raising=False)
    return run


def all_help(run: Run) -> str:
    pages = [run("--help").out, *(run(command, "--help").out for command in COMMANDS)]
    return "\n".join(re.sub(r"[ \t]+$", "", page, flags=re.MULTILINE) for page in pages)


def test_help_is_the_golden_one(run):
    """To accept a change: `UPDATE_GOLDEN=1 pytest tests/sweeper/cli/test_app.py`, and read the diff."""
    text = all_help(run)
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(text, encoding="utf-8")
    assert text == GOLDEN.read_text(encoding="utf-8")


@pytest.mark.parametrize("template", ["default", "folder", "latents", "gpu"])
def test_init_writes_a_study_that_reads_and_never_overwrites(run, tmp_path, template):
    assert run("init", "mine.yaml", "--template", template).code == 0
    read_study(tmp_path / "mine.yaml", () if template == "default" else ["recipe.data.path=mine"])
    again = run("init", "mine.yaml")
    assert again.code == 2
    assert "mine.yaml exists already" in again.err


def test_the_template_of_an_own_module_fits_once_it_is_filled_in(run):
    assert "fill in line 11, 12, 15, then" in run("init", "mine.yaml", "--template", "module").err
    filled = ("path=" + str(ROOT / "examples/own_model"), "factory=nets:conv_net", "taps=[blocks.0, blocks.2]")
    checked = run("check", "mine.yaml", *(word for one in filled for word in ("--set", f"recipe.model.{one}")))
    assert checked.code == 0, checked.err
    assert "10 classes: 0 (178)" in checked.out


def test_init_names_the_line_to_fill_in_and_check_stops_there(run):
    assert "next: fill in line 13, then: sweeper check" in run("init", "mine.yaml", "--template", "folder").err
    checked = run("check", "mine.yaml")
    assert checked.code == 2
    assert "mine.yaml:13:11: recipe.data.path is to be filled in" in checked.err


def test_check_reads_the_data(run):
    wrong = ["--set", "recipe.data={name: npz, path: nowhere.npz}"]
    checked = run("check", STUDY, *wrong)
    assert checked.code == 4
    assert "nowhere.npz" in checked.err


@pytest.mark.parametrize(
    ("code", "says", "options"),
    [
        (2, "not a URL", ["--store", "garbage"]),
        (2, "Port could not be cast", ["--store", "postgresql://u:p@h:notaport/d"]),
        (2, "not a URL", ["--tracking", "garbage"]),
        (2, "Port could not be cast", ["--tracking", "http://h:notaport/"]),
        (3, "is not a folder", ["--workspace", "loop"]),
        (2, "resources.cpus must be at most", ["--set", "resources.cpus=1000000000"]),
    ],
)
def test_an_odd_address_is_told_in_one_line_and_a_remedy(run, tmp_path, code, says, options):
    (tmp_path / "loop").symlink_to("loop")
    for command in ("run", "status"):
        ran = run(command, STUDY, *options)
        assert ran.code == code
        assert says in ran.err
        assert "Traceback" not in ran.err
        assert "u:p@" not in ran.err
    assert [file.name for file in tmp_path.iterdir()] == ["loop"]


def test_more_cores_than_there_are_are_refused_before_anything_is_made(run, tmp_path):
    for command in ("plan", "run"):
        ran = run(command, STUDY, "--set", "resources.cpus=4096")
        assert ran.code == 3
        assert "asks for 4096 cores" in ran.err
    assert not list(tmp_path.iterdir())


def test_init_into_a_missing_folder_is_told_in_one_line(run):
    ran = run("init", "no/such/folder.yaml")
    assert ran.code == 2
    assert "cannot be written" in ran.err


def test_check_counts_cells_seeds_and_trials(run):
    ran = run("check", STUDY)
    assert ran.code == 0
    assert "3 cells on 2 seeds = 6 trials" in ran.out


def test_a_mistake_is_told_with_its_place_and_exit_2_and_no_traceback(run, tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text(STUDY.read_text().replace("block: [1]", "block: [7]"))
    for command in ("check", "plan", "run", "status", "report", "export"):
        ran = run(command, path)
        assert ran.code == 2, command
        assert re.search(r"bad\.yaml:\d+:\d+", ran.err), command
        assert "Traceback" not in ran.err
        assert ran.out == ""


def test_set_overrides_a_field_and_its_mistakes_name_the_option(run):
    assert "3 cells on 4 seeds" in run("check", STUDY, "--set", "screen.seeds=[1,2,3,4]").out
    wrong = run("check", STUDY, "--set", "recipe.train.stepz=5")
    assert wrong.code == 2
    assert "--set" in wrong.err
    assert "steps" in wrong.err


def test_plan_calibrates_and_says_how_long_it_takes(run):
    ran = run("plan", STUDY, "--json")
    planned = json.loads(ran.out)
    assert (planned["cells"], planned["seeds"], planned["trials"]) == (3, 2, 6)
    assert planned["seconds_per_step"] > 0
    assert planned["seconds"] > 6 * 30 * planned["seconds_per_step"] / planned["slots"]
    told = run("plan", STUDY).out
    assert "3 cells on 2 seeds = 6 trials" in told
    assert planned["kept"] == 6  # two arms on three fresh seeds
    assert f"keeps the weights of at most 6 trials (keep: finalists), {planned['kept_bytes'] / 1e6:.3g} MB\n" in told


def test_plan_says_what_a_study_runs_before_it_measures(run):
    ran = run("plan", STUDY, "--set", "recipe.data.name=npz", "--set", "recipe.data.path=gone.npz")
    assert ran.code == 4
    assert "= 6 trials" in ran.out


def test_data_that_does_not_fit_is_refused_before_anything_starts(run, tmp_path):
    missing = ["--set", "recipe.data.name=npz", "--set", "recipe.data.path=gone.npz"]
    ran = run("run", STUDY, "--yes", *missing)
    assert ran.code == 4
    assert "gone.npz" in ran.err
    patch = run("run", STUDY, "--yes", "--set", "recipe.model.patch=3", "--workspace", "other")
    assert patch.code == 2, patch.err
    assert "patch 3 does not divide images of 8x8" in patch.err
    assert not (tmp_path / ".sweeper" / "optuna.db").exists()


def test_schema_accepts_the_shipped_studies_and_refuses_a_wrong_one(run):
    import jsonschema

    schema = json.loads(run("schema").out)
    for path in sorted((ROOT / "studies").glob("*.yaml")):
        jsonschema.validate(yaml.safe_load(path.read_text()), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"name": "x", "question": "?", "space": {"block": [1]}}, schema)


def test_a_study_never_run_has_all_trials_waiting_and_no_record(run):
    found = json.loads(run("status", STUDY, "--json").out)
    assert found["states"] == {"waiting": 12}
    assert found["optuna"] == found["mlflow"] == {}
    assert found["done"] is False
    for command in ("report", "export"):
        ran = run(command, STUDY)
        assert ran.code == 2
        assert "smoke" in ran.err


def test_a_stage_the_study_does_not_have_is_refused(run):
    ran = run("run", ROOT / "studies" / "tune_baseline.yaml", "--yes", "--stage", "confirm")
    assert ran.code == 2
    assert "has no confirm stage" in ran.err


def test_ui_without_records_says_what_to_do(run):
    ran = run("ui")
    assert ran.code == 3
    assert "run a study first" in ran.err


def test_ui_on_a_taken_port_says_so(run, tmp_path, tables):
    (tmp_path / ".sweeper").mkdir()
    copy_database(tables, tmp_path / ".sweeper" / "mlflow.db")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ran = run("ui", "--port", taken.getsockname()[1])
    assert ran.code == 3
    assert "is not free" in ran.err


def test_a_workspace_that_cannot_be_written_is_an_environment_error(run, tmp_path):
    (tmp_path / "file").write_text("")
    ran = run("run", STUDY, "--yes", "--workspace", tmp_path / "file" / "workspace")
    assert ran.code == 3
    assert "--workspace" in ran.err


@pytest.mark.parametrize(
    ("error", "code"), [(StudyError, 2), (SetupError, 3), (DataError, 4), (ConflictError, 5), (SweeperError, 1)]
)
def test_every_family_of_errors_has_its_exit_code(run, monkeypatch, error, code):
    def fails(_path: object, _overrides: object = ()) -> None:
        raise error("what went wrong", "what to do")

    monkeypatch.setattr("sweeper.study.yaml_files.read_study", fails)
    ran = run("check", STUDY)
    assert ran.code == code
    assert ran.err == "error: what went wrong\n  what to do\n"


def test_ctrl_c_ends_with_130(run, monkeypatch):
    def interrupted(_path: object, _overrides: object = ()) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sweeper.study.yaml_files.read_study", interrupted)
    assert run("check", STUDY).code == 130


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_run_that_is_asked_to_stop_exits_with_the_signals_code_and_says_what_continues(run, monkeypatch, number):
    monkeypatch.setattr("sweeper.commands.run.run", lambda *_: os.kill(os.getpid(), number))
    before = signal.getsignal(number)
    ran = run("run", STUDY, "--yes")
    assert ran.code == 128 + number
    assert ran.err.endswith(f"\ninterrupted; to continue, run: sweeper run {STUDY} --yes\n")
    assert signal.getsignal(number) is before


def test_a_gpu_that_is_not_there_is_an_environment_error(run):
    ran = run("run", STUDY, "--yes", "--set", "resources.gpus=1")
    assert ran.code == 3
    assert "PyTorch sees none" in ran.err


def test_a_full_or_closed_output_is_told_in_one_line(run, monkeypatch):
    def fails(_path: object, _overrides: object = ()) -> None:
        raise OSError(28, "No space left on device", "somewhere")

    monkeypatch.setattr("sweeper.study.yaml_files.read_study", fails)
    ran = run("check", STUDY)
    assert ran.code == 3
    assert ran.err == "error: somewhere: No space left on device\n"


def test_reports_that_cannot_be_written_are_refused_before_training(run, tmp_path):
    (tmp_path / "file").write_text("")
    ran = run("run", STUDY, "--yes", "--reports", tmp_path / "file")
    assert ran.code == 3
    assert "--reports" in ran.err
