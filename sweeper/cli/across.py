"""`sweeper across`, and `sweeper run --across`: studies that are one but for fields of the recipe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sweeper.cli.arguments import AsJson, all_home, at_home
from sweeper.cli.run_to_guide import RunOptions, confirmed, run_one
from sweeper.cli.terminal import answer, say, tell

if TYPE_CHECKING:
    from sweeper.study import Study


def across(
    guides: Annotated[
        list[Path],
        typer.Argument(
            metavar="GUIDES...", help="Folders of guides, or their record.json.", show_default=False, callback=all_home
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder to write it to.", callback=at_home)] = Path(
        "reports/across"
    ),
    as_json: AsJson = False,
) -> None:
    """Write one page of studies whose recipes differ. Does the best setting move with the learning rate, say?"""
    from sweeper.commands.across import make_crossing

    made, page = make_crossing(guides, out)
    answer({"page": page, "crossing": made}, lambda: str(page), as_json)


def run_across(name: str, studies: list[Study], options: RunOptions) -> None:
    """Run studies one after the other, write the page beside their guides, print its path, and exit."""
    from sweeper.commands.across import make_crossing
    from sweeper.planning.size import announce

    say("\n".join(map(announce, studies)))
    if not confirmed(options.yes):
        raise typer.Exit(0)
    code = 0
    for study in studies:
        ended = run_one(study, options)
        if ended >= 128:  # interrupted
            raise typer.Exit(ended)
        code = max(code, ended)
    made, page = make_crossing([options.reports / study.name for study in studies], options.reports / f"{name}_across")
    say(made.headline)
    tell(str(page))
    raise typer.Exit(code)
