"""The cluster of `examples/cluster/compose.yaml`, started from that file as processes, runs a study to its guide."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from tests.full.services import services
from tests.places import ROOT, SMOKE
from tests.storm.servers import postgres_is_missing

COMPOSE = ROOT / "examples" / "cluster" / "compose.yaml"
SECRETS = {"RAY_AUTH_TOKEN": "canary-token-" + "0" * 40, "POSTGRES_PASSWORD": "canary-password"}

pytestmark = [
    pytest.mark.skipif(bool(postgres_is_missing()), reason=postgres_is_missing()),
    pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("ip"), reason="network namespaces need root and iproute2"),
]


def test_the_compose_file_runs_a_study_to_its_guide_and_keeps_its_passwords() -> None:
    with tempfile.TemporaryDirectory(prefix="c-", dir="/tmp") as made:
        folder = Path(made)
        folder.chmod(0o755)
        with services(COMPOSE, folder, SECRETS) as cluster:
            work = folder / "work"
            (work / "studies").mkdir()
            shutil.copy(SMOKE, work / "studies" / "smoke.yaml")
            ran = cluster.execute("head", "sweeper run studies/smoke.yaml --yes --address head:6379", 300)
            assert ran.returncode == 0, ran.stderr + cluster.log("mlflow")[-2000:] + cluster.log("worker")[-2000:]
            assert "WITHOUT A TOKEN" not in ran.stderr.upper()
            assert ran.stdout.strip() == "reports/smoke/guide.md"
            status = cluster.execute("head", "sweeper status studies/smoke.yaml", 120)
            assert status.returncode == 0, status.stderr
            assert not (work / ".sweeper" / "optuna.db").exists()
            assert not (work / ".sweeper" / "mlflow.db").exists()
            again = cluster.execute("head", "sweeper run studies/smoke.yaml --yes --address head:6379", 120)
            assert (again.returncode, again.stdout) == (0, ran.stdout)
        assert [path for path in work.rglob("*") if path.is_file() and _holds_a_secret(path)] == []


def test_a_password_that_is_not_given_is_asked_for() -> None:
    with tempfile.TemporaryDirectory() as made, pytest.raises(KeyError), services(COMPOSE, Path(made), {}):
        pass


def _holds_a_secret(path: Path) -> bool:
    content = path.read_bytes()
    return any(secret.encode() in content for secret in SECRETS.values())
