"""Mask secrets before anybody sees them: passwords in URLs, in arguments and in environment variables."""

from __future__ import annotations

import os
import re

HIDDEN = "***"
SHORTEST = 8  # characters of a variable's value from which on it is hidden wherever it appears
_SECRET_NAME = re.compile(r"PASSWORD|PASSWD|SECRET|TOKEN|CREDENTIAL|API_?KEY|ACCESS_?KEY", re.IGNORECASE)
# user:password@ of a URL; the password may hold a slash or an @, as SQLAlchemy reads it.
_IN_URL = re.compile(r"(?<=://)([^\s/@:'\"]*):[^\s@\"]*@(?:[^\s@/\"]*@)*")
_USER_ALONE = re.compile(r"(?<=://)[^\s/@:'\"]+@")
_NAMED = re.compile(
    r"\b((?:ssl)?passw(?:or)?d|pwd|secret|(?:auth_|access_)?token|(?:api|access)_?key)=[^\s&'\"]+", re.IGNORECASE
)


def masked(text: str) -> str:
    """Hide passwords in URLs, in arguments such as password=..., and in variables whose name suggests a secret."""
    for name, value in os.environ.items():
        if len(value) >= SHORTEST and _SECRET_NAME.search(name) and not name.endswith(("_PATH", "_FILE")):
            text = text.replace(value, HIDDEN)
    text = _IN_URL.sub(rf"\1:{HIDDEN}@", text)
    return _NAMED.sub(rf"\1={HIDDEN}", _USER_ALONE.sub(f"{HIDDEN}@", text) if "://" in text else text)


def has_password(text: str) -> bool:
    """Whether there is a URL with a password in it."""
    return bool(_IN_URL.search(text))
