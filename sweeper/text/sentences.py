"""Sentences made of parts."""

from __future__ import annotations


def capital(text: str | None) -> str:
    """Capitalise the first letter of a sentence."""
    return text[:1].upper() + text[1:] if text else ""
