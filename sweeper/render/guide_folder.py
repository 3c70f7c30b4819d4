"""A guide into its folder: every form of it, its pictures, its JSON and the study it proposes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sweeper.guide.assemble import assemble_guide
from sweeper.guide.schema.guide import Guide
from sweeper.records import StudyRecord
from sweeper.render.figures.cell_samples import SAMPLES, cell_samples
from sweeper.render.figures.plots import draw
from sweeper.render.guide_files import FILES, Format, OwnFiles
from sweeper.render.latex import render_latex
from sweeper.render.markdown import render_markdown
from sweeper.render.next_study_yaml import next_yaml, write_proposed
from sweeper.render.page.guide_page import guide_page


def write_guide(
    record: StudyRecord, folder: Path, grids: Callable[[str], bytes | None] | None, form: Format = "markdown"
) -> Path:
    """Write guide.md, guide.html, guide.json and pictures into `folder`, and `form`; return the path of that one.

    `grids` gives a trial's sample grid (PNG) by the trial's key, or None; without it samples.png and samples.json that
    lie there are kept. A guide.tex that lies there from an earlier call is written anew, so that no two forms disagree.
    What somebody changed is kept under another name.
    """
    guide = assemble_guide(record)
    plots = draw(guide, folder, grids)
    files = OwnFiles(folder)
    files.write("guide.json", guide.model_dump_json(indent=1) + "\n")
    if grids is not None:
        _write_samples(guide, files, grids)
    next_study = guide.next_study
    write_proposed(folder, next_study.file if next_study else None, next_yaml(next_study) if next_study else "")
    text = render_markdown(guide, plots)
    files.write(FILES["markdown"], text)
    files.write(FILES["html"], guide_page(guide, text, folder))
    if form == "latex" or (folder / FILES["latex"]).exists():
        files.write(FILES["latex"], render_latex(guide))
    return folder / FILES[form]


def _write_samples(guide: Guide, files: OwnFiles, grids: Callable[[str], bytes | None]) -> None:
    found = cell_samples(guide, grids)
    if found:
        files.write(SAMPLES, found.model_dump_json() + "\n")
    else:
        files.remove(SAMPLES)
