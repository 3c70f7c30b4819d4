"""Guidance to something people read: markdown, HTML, LaTeX, JSON and pictures."""

from sweeper.render.markdown import write_guide
from sweeper.render.own_files import Format, OwnFiles, guide_files

__all__ = ["Format", "OwnFiles", "guide_files", "write_guide"]
