"""The documentation site is built without a warning, has every page, and its pages lead to one another."""

from __future__ import annotations

import re
import subprocess
import sys
from html import unescape
from pathlib import Path
from urllib.parse import unquote

from tests.places import ROOT

ELSEWHERE = ("http:", "https:", "mailto:", "data:", "#")


def test_the_site_is_built_and_no_link_within_it_is_dead(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "sphinx", "-q", "-W", "-j", "1", "-d", str(tmp_path / "trees")]
    made = tmp_path / "site"
    done = subprocess.run([*build, "-c", "docs", ".", str(made)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    pages = {path.relative_to(made).as_posix() for path in made.rglob("*.html")}
    wanted = [*ROOT.glob("docs/**/*.md"), *ROOT.glob("reports/*/guide.md"), ROOT / "README.md"]
    assert {page.relative_to(ROOT).with_suffix(".html").as_posix() for page in wanted} <= pages
    reference = (made / "build/reference/study.html").read_text()
    assert "recipe.train.lr" in reference
    assert "space.tau_units" in reference
    assert "--across" in (made / "build/reference/command_line.html").read_text()
    assert [dead for page in pages if page.startswith(("docs/", "README")) for dead in _dead(made / page)] == []


def _dead(page: Path) -> list[str]:
    links = (unquote(unescape(found)) for found in re.findall(r'<a [^>]*href="([^"]+)"', page.read_text()))
    files = ((link, page.parent / link.partition("#")[0]) for link in links if not link.startswith(ELSEWHERE))
    return [f"{page.name}: {link}" for link, file in files if not file.exists()]
