"""Guidance to something people read: markdown, HTML, LaTeX, JSON and pictures."""

from sweeper.render.markdown import Format, guide_files, write_guide

__all__ = ["Format", "guide_files", "write_guide"]
