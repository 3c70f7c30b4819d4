"""The batch script of `sweeper slurm`, run by bash; programs in the places of Slurm and Ray write down their calls."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from sweeper import cli
from sweeper.commands.slurm import batch_script
from sweeper.study.yaml_files import read_study
from tests.places import STUDIES

FILE = STUDIES / "smoke.yaml"
LOG = 'echo "$(basename "$0") $*" >> "$CALLS"\n'
# Slurm's own programs run their command here; Ray's stay until stopped, and are healthy once the head has started;
# sweeper ends as CODE says, or when asked.
PROGRAMS = {
    "srun": LOG + 'while [[ "$1" == --* ]]; do shift; done\nexec "$@"\n',
    "scontrol": LOG + '[ "$1" = show ] && printf "n1\\nn2\\nn3\\n"\ntrue\n',
    "hostname": "echo 10.0.0.1 10.0.0.2\n",
    "ray": LOG + 'echo "token ${RAY_AUTH_MODE:-} ${RAY_AUTH_TOKEN:-}" >> "$CALLS"\n'
    'if [ "$1" = start ]; then exec sleep 60; fi\n'
    'until grep -q "^ray start --head" "$CALLS"; do sleep 0.05; done\necho healthy >> "$CALLS"\n',
    "sweeper": LOG + 'if [ "$CODE" = stays ]; then trap "echo stopped >> $CALLS; exit 143" TERM\n'
    'echo runs >> "$CALLS"; while true; do sleep 0.05; done; fi\nexit "$CODE"\n',
}


class Allocation:
    """Programs in a folder, a script that uses them, and what they were called with."""

    def __init__(self, root: Path, nodes: int) -> None:
        self.calls, self.script, programs = root / "calls", root / "job.sh", root / "bin"
        programs.mkdir()
        for name, text in PROGRAMS.items():
            (programs / name).write_text(f"#!/bin/bash\n{text}")
            (programs / name).chmod(0o755)
        self.script.write_text(batch_script(read_study(FILE), Path("my study.yaml"), programs, nodes, cpus=8, gpus=2))

    def start(self, code: str) -> subprocess.Popen[bytes]:
        slurm = {
            "SWEEPER_RETRY_S": "0.1",
            "SLURM_JOB_ID": "42",
            "SLURM_JOB_NODELIST": "n[1-3]",
            "CODE": code,
            "CALLS": str(self.calls),
        }
        return subprocess.Popen(["bash", self.script], env={**os.environ, **slurm}, start_new_session=True)

    def said(self) -> list[str]:
        return self.calls.read_text().splitlines() if self.calls.exists() else []

    def until(self, line: str) -> None:
        deadline = time.monotonic() + 60
        while line not in self.said():
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.05)


@pytest.mark.parametrize("code", ["0", "1"])
def test_one_node_runs_the_study_and_ends_with_its_code(tmp_path: Path, code: str) -> None:
    job = Allocation(tmp_path, 1)
    assert job.start(code).wait(60) == int(code)
    assert job.said() == ["sweeper run my study.yaml --yes"]


def test_a_study_that_a_killed_driver_still_holds_is_tried_again(tmp_path: Path) -> None:
    job = Allocation(tmp_path, 1)
    (tmp_path / "bin" / "sweeper").write_text(
        f"#!/bin/bash\n{LOG}" + '[ "$(wc -l < "$CALLS")" -lt 3 ] && exit 5\nexit 0\n'
    )
    assert job.start("0").wait(60) == 0
    assert job.said() == ["sweeper run my study.yaml --yes"] * 3
    (tmp_path / "bin" / "sweeper").write_text(f"#!/bin/bash\n{LOG}exit 5\n")
    assert job.start("0").wait(60) == 5
    assert len(job.said()) == 6


def test_changes_of_the_study_are_passed_on(tmp_path: Path) -> None:
    options = ["--set", "recipe.data.path=my images"]
    script = batch_script(read_study(FILE), FILE, tmp_path, options=options)
    assert f"sweeper run {FILE} --set 'recipe.data.path=my images' --yes &\n" in script


def test_several_nodes_are_joined_by_a_ray_with_a_token_of_its_own(tmp_path: Path) -> None:
    job = Allocation(tmp_path, 3)
    run = job.start("stays")
    job.until("runs")
    deadline = time.monotonic() + 60
    while sum(line.startswith("ray start") for line in job.said()) < 2:
        assert time.monotonic() < deadline, job.said()
        time.sleep(0.05)
    run.send_signal(signal.SIGTERM)
    run.wait(60)
    said = job.said()
    size = "--num-cpus=8 --num-gpus=2"
    started = f"ray start --head --node-ip-address=10.0.0.1 --port=20042 {size} --include-dashboard=false --block"
    assert started in said
    share = "--overlap --cpus-per-task=8 --gpus-per-node=2"
    joins = f"srun --nodes=2 --ntasks=2 --exclude=n1 {share} ray start --address=10.0.0.1:20042 {size} --block"
    assert "ray health-check --address 10.0.0.1:20042" in said
    assert said.index("healthy") < said.index(joins)
    assert said.index("healthy") < said.index("sweeper run my study.yaml --yes --address 10.0.0.1:20042")
    tokens = {line for line in said if line.startswith("token")}
    assert len(tokens) == 1
    (token,) = tokens
    assert re.fullmatch(r"token token [0-9a-f]{64}", token)
    assert token.split()[-1] not in job.script.read_text()


@pytest.mark.parametrize(
    ("number", "code", "after"),
    [(signal.SIGUSR1, 0, ["stopped", "scontrol requeue 42"]), (signal.SIGTERM, 143, ["stopped"])],
)
def test_a_job_that_must_end_stops_its_driver_first(
    tmp_path: Path, number: signal.Signals, code: int, after: list[str]
) -> None:
    job = Allocation(tmp_path, 1)
    run = job.start("stays")
    job.until("runs")
    run.send_signal(number)
    assert run.wait(60) == code
    assert job.said()[2:] == after


@pytest.mark.parametrize(
    ("changes", "nodes", "cpus", "gpus"),
    [
        ([], 1, 1, 0),
        (["resources.slots=8", "resources.cpus=2"], 2, 8, 0),
        (["resources.slots=8", "resources.gpus=0.5"], 2, 4, 2),
        (["resources.gpus=1"], 4, 1, 1),
    ],
)
def test_a_node_has_what_its_slots_ask_for(changes: list[str], nodes: int, cpus: int, gpus: int) -> None:
    script = batch_script(read_study(FILE, changes), FILE, Path("/bin"), nodes)
    assert f"#SBATCH --nodes={nodes}\n" in script
    assert f"#SBATCH --cpus-per-task={cpus}\n" in script
    assert ("#SBATCH --gpus-per-node=" in script) is (gpus > 0)
    assert f"#SBATCH --gpus-per-node={gpus}\n" in script or not gpus
    assert script.count("#SBATCH") == 9 + (gpus > 0)


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (["-o", "job.sh", "--partition", "gpu,long", "--time", "2-12:00:00"], 0, "next: sbatch job.sh"),
        (["--time", "1h; rm -rf /"], 2, "--time 1h; rm -rf /: not what Slurm writes"),
        (["--partition", "a b"], 2, "--partition a b: not what Slurm writes"),
        (["-o", "no/folder/job.sh"], 4, "cannot be written: No such file or directory"),
    ],
)
def test_the_command_writes_a_script_or_says_what_is_wrong(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    options: list[str],
    code: int,
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["sweeper", "slurm", str(FILE), *options])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert (ended.value.code or 0) == code
    assert says in capsys.readouterr().err
    if code == 0:
        assert "#SBATCH --partition=gpu,long\n" in Path("job.sh").read_text()
