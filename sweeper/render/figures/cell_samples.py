"""Settings' samples of one seed, small, for the page: a file beside the guide, since a record does not hold them."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

from PIL import Image
from pydantic import Field

from sweeper.guide.schema.guide import Guide
from sweeper.render.figures.sample_grids import opened
from trainer.recipe import Frozen

SAMPLES = "samples.json"
MOST_GRIDS = 60  # of settings; each is a call to MLflow
MOST_CHARACTERS = 900_000  # of all together; a page is sent by mail
WIDEST = 400  # pixels
COLOURS = 64


class CellSamples(Frozen):
    """Grids by a cell's key, the baseline's among them, as base64 of a PNG; all of one `seed`."""

    seed: int
    grids: dict[str, Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]*=*$")]]


def cell_samples(guide: Guide, grids: Callable[[str], bytes | None]) -> CellSamples | None:
    """Collect grids of the first seed of which the baseline has one; None where no other cell has one beside it.

    `grids` gives a trial's grid (PNG) by the trial's key. Cells whose curves are drawn come first, and the last ones
    are left out where the room is spent.
    """
    stage = guide.main
    if stage.baseline is None:
        return None
    for seed in stage.seeds:
        if base := _small(grids(f"{stage.stage}.{stage.baseline.key}.{seed}")):
            found = {stage.baseline.key: base}
            room = MOST_CHARACTERS - len(base)
            for key in list(_keys(guide))[:MOST_GRIDS]:
                grid = _small(grids(f"{stage.stage}.{key}.{seed}"))
                if grid and len(grid) <= room:
                    found[key], room = grid, room - len(grid)
            return CellSamples(seed=seed, grids=found) if len(found) > 1 else None
    return None


def read_samples(folder: Path) -> CellSamples | None:
    """Read what lies beside a guide; None where nothing does, or another thing."""
    try:
        return CellSamples.model_validate_json((folder / SAMPLES).read_bytes())
    except (OSError, ValueError):
        return None


def _keys(guide: Guide) -> Iterator[str]:
    """Yield each cell once: those of the pictures first, then as tables have them; never the baseline."""
    first = [highlight.key for highlight in guide.highlights if highlight.ink != "baseline"]
    yield from dict.fromkeys([*first, *(result.key for result in guide.main.rows)])


def _small(png: bytes | None) -> str:
    image = opened(png)
    if image is None:
        return ""
    image.thumbnail((WIDEST, WIDEST * 4))  # never enlarges
    buffer = io.BytesIO()
    image.quantize(COLOURS, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()
