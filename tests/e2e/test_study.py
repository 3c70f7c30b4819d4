"""From YAML to guide with the command a user types; then the same study again, disturbed in every way there is."""

import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path
from urllib.request import urlopen

import pytest

from sweeper.study import fresh_seeds
from tests.e2e.workplace import (
    PATIENCE_S,
    SWEEPER,
    Workplace,
    children,
    scratch,
    shadowed,
    trial_figures,
    until,
    until_gone,
)
from tests.places import SMOKE
from tests.sweeper.text.canaries import SECRETS, files_with_canaries

STUDY = SMOKE
TRIALS = 12  # six to screen, then the best setting and the baseline on three fresh seeds


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workplace, subprocess.CompletedProcess[str]]:
    here = shadowed(tmp_path_factory.mktemp("here"))
    place = Workplace(tmp_path_factory.mktemp("undisturbed"), STUDY, here, SECRETS)
    return place, place.run()


def test_a_study_ends_with_a_guide_its_path_on_stdout_and_exit_0(undisturbed):
    place, done = undisturbed
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(place.reports / "smoke" / "guide.md")
    guide = Path(done.stdout.strip()).read_text()
    assert "on 3 fresh seeds" in guide.splitlines()[2]
    assert "Rank correlation (Spearman's rho) of FID-500 and FID-1K" in guide
    for picture in ("overview.png", "curves.png", "health.png", "samples.png"):
        assert f"({picture})" in guide
        assert (place.reports / "smoke" / picture).stat().st_size > 1000


def test_stderr_carries_progress_and_nothing_of_the_libraries(undisturbed):
    place, done = undisturbed
    lines = done.stderr.splitlines()
    assert lines[:2] == ["smoke: 3 cells on 2 seeds = 6 trials, data digits", "then 6 trials on fresh seeds to confirm"]
    assert lines[3] == "reading the data, starting Ray"
    ours = ("screen: ", "confirm: ", "reading the data, ", "all is done: ")
    assert [line for line in lines[2:-1] if not line.startswith(ours)] == []
    assert f"> **{lines[-1]}**" in (place.reports / "smoke" / "guide.md").read_text()


def test_optuna_and_mlflow_count_what_status_counts(undisturbed):
    found = undisturbed[0].status()
    assert found["states"] == found["optuna"] == found["mlflow"] == {"complete": TRIALS}
    assert found["done"] is True
    assert found["agree"] is True


def test_the_seeds_of_the_confirm_stage_are_recorded_and_its_trials_have_the_full_metric(undisturbed):
    record = undisturbed[0].record()
    assert record.fresh_seeds == fresh_seeds(record.study)
    fresh = [trial for trial in record.trials if trial.spec.stage == "confirm"]
    assert {trial.spec.seed for trial in fresh} == {*record.fresh_seeds}
    assert all({"fid_500", "fid_1k", "fid_500_second"} <= trial.rungs[-1].metrics.keys() for trial in fresh)


def test_no_secret_of_the_environment_is_in_what_a_run_prints_or_leaves(undisturbed):
    place, done = undisturbed
    assert "canary" not in done.stdout + done.stderr
    written = {path.name for path in place.root.rglob("*") if path.is_file()}
    assert {"guide.md", "guide.html", "guide.json", "record.json", "mlflow.db", "optuna.db", "outbox.jsonl"} <= written
    assert [name for name in written if name.endswith(".safetensors")]
    assert list(files_with_canaries(place.root)) == []


def test_audits_pass_or_fail_by_their_exit_code(undisturbed):
    place = undisturbed[0]
    made = {
        name: subprocess.run(
            [*SWEEPER, "audit", name, str(STUDY), "--workspace", str(place.root)],
            capture_output=True,
            text=True,
            check=False,
        )
        for name in ("proxy", "pruning")
    }
    assert made["proxy"].stdout.startswith(("proxy passes", "proxy fails"))
    assert made["proxy"].returncode == (0 if made["proxy"].stdout.startswith("proxy passes") else 1)
    assert made["pruning"].stdout.startswith("pruning not measured: this study has no pruner")
    assert made["pruning"].returncode == 1


def test_our_fid_equals_torch_fidelitys(undisturbed):
    difference = undisturbed[0].record().provenance.torch_fidelity_difference
    assert difference is not None
    assert difference <= 1e-6


def test_running_again_does_nothing_and_says_so(undisturbed):
    place, _ = undisturbed
    before = place.record()
    again = place.run()
    assert again.returncode == 0
    assert f"\nall is done: {TRIALS} complete\n" in again.stderr
    assert place.record() == before


def test_new_words_of_a_study_that_is_done_reach_its_guide(undisturbed):
    place, _ = undisturbed
    told = place.run("--set", "tuning=Tuned by hand.")
    assert told.returncode == 0
    assert "Tuned by hand." in (place.reports / "smoke" / "guide.md").read_text()
    assert place.run().returncode == 0
    assert "Tuned by hand." not in (place.reports / "smoke" / "guide.md").read_text()


def test_ui_shows_the_study_and_ends_with_its_server(undisturbed):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [*SWEEPER, "ui", "--port", str(port), "--workspace", str(undisturbed[0].root)]
    here = undisturbed[0].here
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    shown = subprocess.Popen(command, **quiet, cwd=here, start_new_session=True)

    def experiments() -> str:
        query = f"http://127.0.0.1:{port}/api/2.0/mlflow/experiments/get-by-name?experiment_name=smoke"
        try:
            with urlopen(query, timeout=5) as answer:
                return answer.read().decode()
        except OSError:
            return ""

    until(lambda: "smoke" in experiments(), shown)
    family = [pid for pid, _ in children(shown.pid)]
    shown.terminate()
    assert shown.wait(PATIENCE_S) == 0
    for pid in family:
        until_gone(pid)


def test_a_changed_study_is_refused_as_a_conflict(undisturbed):
    refused = undisturbed[0].run("--set", "recipe.train.lr=0.001")
    assert refused.returncode == 5
    assert "recipe.train.lr: 0.008 -> 0.001" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_killed_workers_an_interrupt_and_a_killed_driver_change_no_figure(undisturbed, tmp_path):
    place = Workplace(tmp_path, STUDY, secrets=SECRETS)
    shutil.copytree(undisturbed[0].root / "cache", tmp_path / "cache")  # the extractor is not what is tested
    run = place.start()
    until(lambda: place.rungs() >= 1, run)
    workers = [pid for pid, title in children(run.pid) if title.startswith("ray::ImplicitFunc")]  # Tune's name
    assert workers
    os.kill(workers[0], signal.SIGKILL)
    until(lambda: place.finished() >= 2, run)
    folders = scratch(run.pid)
    assert folders
    run.send_signal(signal.SIGINT)
    assert run.wait(PATIENCE_S) == 130
    assert [folder for folder in folders if folder.exists()] == []
    assert place.status()["done"] is False

    before = place.rungs()
    run = place.start()
    until(lambda: place.rungs() > before, run)
    family, folders = [pid for pid, _ in children(run.pid)], scratch(run.pid)
    run.kill()
    run.wait()
    assert place.status()["done"] is False
    assert list(place.root.rglob("checkpoint.safetensors"))
    assert [file for folder in (place.root, *folders) for file in files_with_canaries(folder)] == []

    last = place.run()
    assert last.returncode == 0, last.stderr
    assert trial_figures(place.record()) == trial_figures(undisturbed[0].record())
    assert place.status()["agree"] is True
    for pid in family:  # what a killed driver leaves behind ends by itself
        until_gone(pid)
