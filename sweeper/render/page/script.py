"""The page's script: its files in order, as one closed piece whose hash the page's content policy names."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files

FILES = ("dom", "tables", "chart", "cell", "map", "parallel", "guidance", "start")


@cache
def page_script() -> str:
    """Return the script; it reads the page's data, loads nothing and evaluates nothing."""
    folder = files("sweeper.render") / "templates" / "page"
    parts = ((folder / f"{name}.js").read_text(encoding="utf-8") for name in FILES)
    return '(() => {\n"use strict";\n' + "\n".join(parts) + "})();\n"


def policy_hash(script: str) -> str:
    """Return how a content security policy allows this script and no other."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
