"""The notebooks run from their first cell to their last, and are kept without outputs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.places import ROOT

NOTEBOOKS = ROOT / "examples" / "notebooks"
RUN_IN_ROOT = {"read_a_record"}  # what it reads is there


def notebooks() -> list[Path]:
    return sorted(NOTEBOOKS.glob("*.ipynb"))


def outputs(notebook: Any) -> Iterator[Any]:
    for cell in notebook.cells:
        if cell.cell_type == "code":
            yield from cell.outputs


@pytest.mark.parametrize("path", notebooks(), ids=lambda path: path.stem)
def test_a_notebook_is_kept_as_it_was_written(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert list(outputs(notebook)) == []
    assert {cell.get("execution_count") for cell in notebook.cells} == {None}


@pytest.mark.parametrize(
    ("name", "shows"),
    [
        ("study_from_scratch", {"text/markdown": "at most", "text/html": '<iframe srcdoc="'}),
        ("own_training_loop", {"image/png": "", "text/plain": "'tau 0.05': "}),
        ("read_a_record", {"image/png": "", "text/html": "<table"}),
    ],
)
def test_a_notebook_runs(tmp_path: Path, name: str, shows: dict[str, str]) -> None:
    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    where = str(ROOT if name in RUN_IN_ROOT else tmp_path)
    NotebookClient(notebook, timeout=180, kernel_name="python3", resources={"metadata": {"path": where}}).execute()
    shown = [found.data for found in outputs(notebook) if "data" in found]
    for kind, says in shows.items():
        assert any(says in data[kind] for data in shown if kind in data), kind
    assert [found for found in outputs(notebook) if found.output_type == "error"] == []


def test_every_notebook_is_run() -> None:
    assert {path.stem for path in notebooks()} == {"study_from_scratch", "own_training_loop", "read_a_record"}
