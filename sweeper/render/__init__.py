"""Guidance to something people read: markdown, JSON and pictures."""

from sweeper.render.markdown import write_guide

__all__ = ["write_guide"]
