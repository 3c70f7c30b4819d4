"""Rendering a guide as markdown, HTML, LaTeX, JSON and pictures."""

from sweeper.render.guide_files import Format, OwnFiles, guide_files
from sweeper.render.guide_folder import write_guide

__all__ = ["Format", "OwnFiles", "guide_files", "write_guide"]
