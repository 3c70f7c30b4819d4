"""The page's script: one piece that its page allows by hash, and that neither loads nor evaluates anything."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

import pytest

from sweeper.render.html import render_html
from sweeper.render.page.script import FILES, page_script, policy_hash
from tests.places import ROOT
from tests.sweeper.render.test_html import Page

FOLDER = ROOT / "sweeper/render/templates/page"


def test_the_pages_policy_allows_exactly_the_script_that_is_in_it(tmp_path: Path) -> None:
    page = Page(render_html("# A page", tmp_path, "x"))
    (script,) = page.scripts
    found = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = [attrs["content"] for attrs in page.all("meta") if attrs.get("http-equiv") == "Content-Security-Policy"]
    assert f"script-src 'sha256-{found}';" in policy
    assert "default-src 'none'" in policy
    assert "unsafe-eval" not in policy
    assert "'unsafe-inline'" not in policy.partition("script-src")[2]


def test_another_script_has_another_hash() -> None:
    assert policy_hash(page_script()) != policy_hash(page_script() + " ")


def test_every_file_of_the_script_is_in_it_and_has_a_size_that_is_read() -> None:
    assert {path.stem for path in FOLDER.glob("*.js")} == set(FILES)
    for name in FILES:
        text = (FOLDER / f"{name}.js").read_text(encoding="utf-8")
        assert text in page_script()
        assert len(text.splitlines()) <= 150
        assert max(map(len, text.splitlines())) <= 120
        assert text.startswith("// ")
    assert len(page_script().encode()) < 32_000, "an own script is worth it as long as it is small"


@pytest.mark.parametrize(
    "sink",
    [
        *("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "DOMParser", "createContextualFragment"),
        *(r"\beval\b", r"\bFunction\(", r"setTimeout\(", "import", r"\bfetch\b", "XMLHttpRequest", "WebSocket"),
        *(
            "https?://(?!www.w3.org/2000/svg)",
            r"\bsrc\b(?!: `data:image/png;base64,)",
            "localStorage",
            "cookie",
            "postMessage",
            "</script",
            "<!--",
        ),
    ],
)
def test_the_script_makes_no_markup_of_words_and_reaches_nothing(sink: str) -> None:
    assert not re.search(sink, page_script())
