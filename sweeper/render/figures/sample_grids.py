"""Sample grids without and with dispersion, from one seed, side by side."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator

from matplotlib.figure import Figure
from PIL import Image

from sweeper.guide.schema.guide import Guide
from sweeper.guide.schema.results import Highlight, Ink
from sweeper.render.figures.style import Painted, legend_label

TITLE = "Samples without and with dispersion"
SAME = "the same initial weights, data order, sampling noise and labels; only the loss differs"


def samples(guide: Guide, grids: Callable[[str], bytes | None]) -> Painted | None:
    """Draw the grids of one seed beside each other; None when no seed has the baseline's and another's."""
    stage = guide.main
    order: tuple[Ink, ...] = ("baseline", "lowest", "marked")
    shown = [highlight for ink in order for highlight in guide.highlights if highlight.ink == ink]
    if not shown or shown[0].ink != "baseline":
        return None
    for seed in stage.seeds:
        pictures = [
            (highlight, image)
            for highlight in shown
            if (image := opened(grids(f"{stage.stage}.{highlight.key}.{seed}")))
        ]
        if len(pictures) > 1 and pictures[0][0].ink == "baseline":
            return _side_by_side(pictures, seed)
    return None


def opened(png: bytes | None) -> Image.Image | None:
    """Open a grid in colours; None where there is none, or it is no whole PNG."""
    try:
        # It may come from a server: as anything else but PNG it is not opened, PostScript would start a program.
        return Image.open(io.BytesIO(png), formats=("PNG",)).convert("RGB") if png else None
    except Exception:  # of a damaged file, of any kind; a guide does without
        return None


def _side_by_side(pictures: list[tuple[Highlight, Image.Image]], seed: int) -> Painted:
    wide, high = pictures[0][1].size
    # As high as the grids are at a third of the width each, and a title of three lines above them.
    canvas = Figure(figsize=(3.3 * len(pictures), 3.3 * high / wide + 0.7), layout="constrained")
    for panel, (highlight, image) in zip(canvas.subplots(1, len(pictures)), pictures, strict=True):
        panel.imshow(image, interpolation="nearest")
        panel.set_axis_off()
        panel.set_title("\n".join(_wrapped(legend_label(highlight))), fontsize=8)
    return Painted(canvas, TITLE, f"seed {seed}: {SAME}")


def _wrapped(text: str, width: int = 34) -> Iterator[str]:
    line = ""
    for word in text.split():
        if line and len(line) + len(word) >= width:
            yield line
            line = word
        else:
            line = f"{line} {word}".strip()
    yield line
