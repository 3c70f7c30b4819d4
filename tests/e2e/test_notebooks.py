"""The notebooks run from their first cell to their last, and are kept without outputs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.e2e.workplace import PATIENCE_S, Workplace, is_complete
from tests.places import ROOT, STUDIES

NOTEBOOKS = ROOT / "examples" / "notebooks"
RUN_IN_ROOT = {"read_a_record"}  # what it reads is there


def notebooks() -> list[Path]:
    return sorted(NOTEBOOKS.glob("*.ipynb"))


def outputs(notebook: Any) -> Iterator[Any]:
    for cell in notebook.cells:
        if cell.cell_type == "code":
            yield from cell.outputs


def executed(name: str, where: Path) -> list[Any]:
    """Run a notebook in a folder, and return what it shows; raise CellExecutionError for a cell that fails."""
    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    here = {"metadata": {"path": str(where)}}
    NotebookClient(notebook, timeout=PATIENCE_S, kernel_name="python3", resources=here).execute()
    return [found.data for found in outputs(notebook) if "data" in found]


@pytest.mark.parametrize("path", notebooks(), ids=lambda path: path.stem)
def test_a_notebook_is_kept_as_it_was_written(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert list(outputs(notebook)) == []
    assert {cell.get("execution_count") for cell in notebook.cells} == {None}


@pytest.mark.parametrize(
    ("name", "shows"),
    [
        ("own_training_loop", {"image/png": "", "text/plain": "'tau 0.05': "}),
        ("read_a_record", {"image/png": "", "text/html": "<table"}),
    ],
)
def test_a_notebook_runs(tmp_path: Path, name: str, shows: dict[str, str]) -> None:
    shown = executed(name, ROOT if name in RUN_IN_ROOT else tmp_path)
    for kind, says in shows.items():
        assert any(says in data[kind] for data in shown if kind in data), kind


def test_a_shipped_study_runs_to_its_guide_in_a_notebook(tmp_path: Path) -> None:
    (tmp_path / "studies").symlink_to(STUDIES)
    shown = executed("run_a_study", tmp_path)
    assert any("at most" in data.get("text/markdown", "") for data in shown)
    assert any(data.get("text/html", "").startswith('<iframe srcdoc="') for data in shown)
    (ended,) = [data["text/plain"] for data in shown if "'complete': " in data.get("text/plain", "")]
    assert ended.endswith(" True, True)")  # all is done, and progress was seen
    place = Workplace(tmp_path / ".sweeper", STUDIES / "smoke_dit.yaml")
    place.reports = tmp_path / "reports"
    says = ("noise prediction on a linear schedule", "variance learned", "Control arm repa", "Not tuned: it learns")
    is_complete(place, 4, 13, says)


def test_every_notebook_is_run() -> None:
    assert {path.stem for path in notebooks()} == {"run_a_study", "own_training_loop", "read_a_record"}
