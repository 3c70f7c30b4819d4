"""A guide's HTML page: its markdown, the map as tables, and the data of its figures."""

from __future__ import annotations

from pathlib import Path

from sweeper.guide.schema.guide import Guide
from sweeper.render.figures.cell_samples import read_samples
from sweeper.render.html import render_html
from sweeper.render.page.map_tables import map_tables
from sweeper.render.page.page_data import page_data
from sweeper.text.untrusted import visible

MAP = "overview.png"


def guide_page(guide: Guide, markdown: str, folder: Path) -> str:
    """Write the page of a guide whose pictures and samples lie in `folder`."""
    maps = map_tables(guide)
    title = visible(f"{guide.name}: {guide.question}")
    data = as_data(page_data(guide, read_samples(folder)).model_dump_json())
    return render_html(markdown, folder, title, {MAP: maps} if maps else {}, data)


def as_data(json: str) -> str:
    """Write JSON so that no word in it can end its element or begin another; it stays the same JSON."""
    return json.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
