"""The command that makes an atlas of many studies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sweeper.cli.arguments import AsJson, all_home, at_home
from sweeper.cli.terminal import answer


def atlas(
    guides: Annotated[
        list[Path],
        typer.Argument(
            metavar="GUIDES...", help="Folders of guides, or their record.json.", show_default=False, callback=all_home
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder to write it to.", callback=at_home)] = Path(
        "reports/atlas"
    ),
    without: Annotated[
        list[str] | None,
        typer.Option(
            "--without",
            metavar="NAME[=WHY]",
            help="A study to leave out, and why; may be repeated.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write one page of many studies. What travels between them, and what is to be expected in a new one?"""
    from sweeper.commands.atlas import make_atlas

    made, page = make_atlas(guides, out, without or ())
    answer({"page": page, "atlas": made}, lambda: str(page), as_json)
