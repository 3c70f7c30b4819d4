"""The package as a user installs it: a wheel, in an environment that knows nothing of this checkout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from tests.places import ROOT

PARTS = ("pyproject.toml", "README.md", "sweeper", "trainer")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built of a copy, since a build writes beside its sources."""
    source = tmp_path_factory.mktemp("source")
    for name in PARTS:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "--disable-pip-version-check", "-w", str(source / "dist"), str(source)], check=True)
    (found,) = (source / "dist").glob("*.whl")
    return found


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of an environment with the wheel, and with this one's packages but for the checkout."""
    root = tmp_path_factory.mktemp("environment")
    venv.create(root, with_pip=False, symlinks=True)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(root)}))
    with zipfile.ZipFile(wheel) as content:
        content.extractall(packages)
    # A path in a .pth file is no site folder: the line there that leads to this checkout is not followed.
    others = [path for path in sys.path if path.endswith("site-packages")]
    (packages / "others.pth").write_text("\n".join(others) + "\n")
    return root / "bin" / "python"


def run(python: Path, here: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run([python, *arguments], cwd=here, env=kept, capture_output=True, text=True, check=False)


def test_a_wheel_holds_the_two_packages_with_their_data_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as content:
        names = content.namelist()
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"sweeper", "trainer"}
    files = {str(path.relative_to(ROOT)) for part in PARTS[2:] for path in (ROOT / part).rglob("*") if path.is_file()}
    missing = {name for name in files - set(names) if "__pycache__" not in name}
    assert missing == set()


def test_it_runs_away_from_the_checkout(python: Path, tmp_path: Path) -> None:
    where = run(python, tmp_path, "-c", "import sweeper, trainer; print(sweeper.__file__, trainer.__file__)")
    assert str(ROOT) not in where.stdout
    assert where.stdout.count(str(python.parents[1])) == 2
    assert run(python, tmp_path, "-m", "sweeper", "--version").stdout.startswith("sweeper ")
    for name in ("default", "gpu"):
        made = run(python, tmp_path, "-m", "sweeper", "init", f"{name}.yaml", "--template", name)
        assert made.returncode == 0, made.stderr
    checked = run(python, tmp_path, "-m", "sweeper", "check", "default.yaml")
    assert checked.returncode == 0, checked.stderr
    assert json.loads(run(python, tmp_path, "-m", "sweeper", "schema").stdout)["title"] == "Study"


def without_samples(guide: Path) -> list[str]:
    """A guide's lines but for the picture of samples, which are in no record, and its caption."""
    lines = [line for line in guide.read_text(encoding="utf-8").splitlines() if line]
    return [line for line in lines if "only the loss differs" not in line and "(samples.png)" not in line]


def test_it_writes_a_guide_with_its_own_templates(python: Path, tmp_path: Path) -> None:
    shutil.copy(ROOT / "reports" / "null" / "record.json", tmp_path)
    done = run(python, tmp_path, "-m", "sweeper", "report", "record.json", "--format", "latex")
    assert done.returncode == 0, done.stderr
    written = tmp_path / "reports" / "null"
    shipped = ROOT / "reports" / "null"
    assert without_samples(shipped / "guide.md") == without_samples(written / "guide.md")
    assert {"guide.html", "guide.tex", "overview.svg"} <= {path.name for path in written.iterdir()}
