"""Addresses of servers and databases as a user gives them."""

from __future__ import annotations

from urllib.parse import urlsplit

from sweeper.errors import StudyError


def check_url(given: str, option: str, example: str) -> None:
    """Raise StudyError for what is no URL with a scheme, and a port that is a number where it has one."""
    remedy = f"write it as {option} {example}"
    try:
        parts = urlsplit(given)
        port_is_number = parts.port is None or parts.port > 0
    except ValueError as error:
        raise StudyError(f"{option} {given}: {str(error)[:80]}", remedy) from None
    if not parts.scheme or "://" not in given or not port_is_number:
        raise StudyError(f"{option} {given}: no URL", remedy)
