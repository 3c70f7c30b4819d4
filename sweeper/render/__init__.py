"""Guidance to something people read: markdown, HTML, LaTeX, JSON and pictures."""

from sweeper.render.markdown import Format, write_guide

__all__ = ["Format", "write_guide"]
