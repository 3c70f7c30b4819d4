"""Words that were not written here, made harmless before anybody sees them: no terminal commands, no passwords."""

from __future__ import annotations

import os
import re
import unicodedata

HIDDEN = "***"
SHORTEST = 8  # characters of a variable's value from which on it is hidden wherever it appears
_SECRET_NAME = re.compile(r"PASSWORD|PASSWD|SECRET|TOKEN|CREDENTIAL|API_?KEY|ACCESS_?KEY", re.IGNORECASE)
# user:password@ of a URL; the password may hold a slash or an @, as SQLAlchemy reads it.
_IN_URL = re.compile(r"(?<=://)([^\s/@:'\"]*):[^\s@\"]*@(?:[^\s@/\"]*@)*")
_USER_ALONE = re.compile(r"(?<=://)[^\s/@:'\"]+@")
_NAMED = re.compile(
    r"\b((?:ssl)?passw(?:or)?d|pwd|secret|(?:auth_|access_)?token|(?:api|access)_?key)=[^\s&'\"]+", re.IGNORECASE
)
# They would show a line in another order than it has.
_REORDERING = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
# What of a study's words a code host would act on: our own sentences have `code` and *emphasis* alone.
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


def masked(text: str) -> str:
    """Hide passwords: of URLs, of arguments such as password=..., and of variables whose name speaks of a secret."""
    for name, value in os.environ.items():
        if len(value) >= SHORTEST and _SECRET_NAME.search(name) and not name.endswith(("_PATH", "_FILE")):
            text = text.replace(value, HIDDEN)
    text = _IN_URL.sub(rf"\1:{HIDDEN}@", text)
    return _NAMED.sub(rf"\1={HIDDEN}", _USER_ALONE.sub(f"{HIDDEN}@", text) if "://" in text else text)


def has_password(text: str) -> bool:
    """Whether there is a URL with a password in it."""
    return bool(_IN_URL.search(text))


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
