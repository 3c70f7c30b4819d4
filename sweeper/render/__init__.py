"""Guidance to something people read: markdown, JSON and pictures."""

from sweeper.render.markdown import render_markdown, write_guide

__all__ = ["render_markdown", "write_guide"]
