"""The LaTeX fragment compiles with pdfLaTeX and the packages that it names, as does every sign it may hold."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from sweeper.guide.assemble import assemble_guide
from sweeper.records import StudyRecord
from sweeper.render.latex import render_latex
from sweeper.render.latex_escaping import SIGNS
from sweeper.render.tables.table import Table, to_latex
from tests.places import ROOT
from tests.sweeper.guide.study_records import typical
from tests.sweeper.text.test_untrusted import record as hostile  # noqa: F401  a fixture
from trainer.recipe.idle_fields import KEPT

PAPER = r"""\documentclass{article}
\usepackage{amssymb, array, booktabs, graphicx}
\begin{document}
\input{fragment}
\end{document}
"""
RECORDS = sorted((ROOT / "reports").glob("*/record.json"))


def compiled(fragment: str, folder: Path) -> str:
    """Compile a paper of one fragment and return TeX's log; the first error fails."""
    (folder / "fragment.tex").write_text(fragment, encoding="utf-8")
    (folder / "paper.tex").write_text(PAPER, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "paper.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False, timeout=300)
    log = (folder / "paper.log").read_text(encoding="latin-1")
    assert done.returncode == 0, log[-3000:]
    assert (folder / "paper.pdf").stat().st_size > 1000
    return log


@pytest.mark.parametrize("file", RECORDS, ids=lambda file: file.parent.name)
def test_every_shipped_study_compiles(file: Path, tmp_path: Path) -> None:
    record = StudyRecord.model_validate_json(file.read_bytes(), context=KEPT)
    assert "Missing character" not in compiled(render_latex(assemble_guide(record)), tmp_path)


def test_a_study_with_every_mark_and_hostile_words_compile(tmp_path: Path, hostile: StudyRecord) -> None:  # noqa: F811
    compiled(render_latex(assemble_guide(typical())), tmp_path)
    compiled(render_latex(assemble_guide(hostile)), tmp_path)


@pytest.mark.parametrize("sign", SIGNS, ids=lambda sign: f"U+{ord(sign):04X}")
def test_every_sign_of_the_table_prints(sign: str, tmp_path: Path) -> None:
    log = compiled(to_latex(Table(("sign", "figure"), ((sign, f"1 {sign} 2"),)), f"The sign {sign}", "tab:x"), tmp_path)
    assert "Missing character" not in log
