"""Escape text from outside, such as a study's words, before it is shown in a terminal or in markdown."""

from __future__ import annotations

import re
import unicodedata

from sweeper.text.passwords import masked

# Characters that make a line appear in another order.
_REORDERING = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
# Markup in a study's words that a code host would render: our own sentences use only `code` and *emphasis*.
_ACTIVE = (
    (re.compile(r"\\(?=[!-/:-@\[-`{-~]|$)"), r"\\\\"),  # first, for those below add backslashes of their own
    (re.compile(r"&(?=#?\w+;)"), "&amp;"),
    (re.compile(r"<"), "&lt;"),
    (re.compile(r"^\[(?=[^\]]*\]:)"), r"\\["),
    (re.compile(r"^(?=#{1,6} |>|[-+*] )"), r"\\"),
    (re.compile(r"\](?=[(\[])"), r"]\\"),
    (re.compile(r"!(?=\[)"), r"!\\"),
    (re.compile(r"://"), r":\\//"),
    (re.compile(r"\bwww\.", re.IGNORECASE), r"www\\."),
    (re.compile(r"\$"), r"\\$"),
    (re.compile(r"(`{2,}|~{3,})"), lambda found: "".join(f"\\{sign}" for sign in found[0])),
)


def inert(text: str) -> str:
    """Return text to print: `masked` and `visible`."""
    return visible(masked(text))


def visible(text: str) -> str:
    r"""Show control characters as their escapes ('\x1b'), so that none reaches a terminal; line breaks stay."""
    return text if text.isascii() and text.isprintable() else "".join(map(_shown, text))


def prose(text: str) -> str:
    """One line of text that markdown shows as it was written: no HTML, link, picture, formula or fence."""
    line = visible(" ".join(text.split()))
    for sign, written in _ACTIVE:
        line = sign.sub(written, line)
    return line


def _shown(sign: str) -> str:
    if sign in "\n\t" or not (unicodedata.category(sign) in {"Cc", "Cs", "Zl", "Zp"} or sign in _REORDERING):
        return sign
    return sign.encode("unicode_escape").decode()
