"""A browser for the checks of pages: Chromium of the system, offline, and what a page asks of it and reports."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

WIDE, PHONE = (1200, 900), (390, 844)


@dataclass
class Seen:
    """An open page; `asked` are the addresses it wanted beside its own, `said` are its messages and errors."""

    page: Page
    asked: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def complaints(self) -> list[str]:
        """Run axe over the page as it is, and name what it finds."""
        self.page.evaluate((files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8"))
        found = self.page.evaluate("axe.run()")["violations"]
        return [f"{one['id']}: {one['help']}, {one['nodes'][0]['html'][:200]}" for one in found]

    def overflow(self) -> int:
        """Return by how many pixels the page is wider than its window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))

    def unfold(self) -> None:
        """Open every folded section."""
        self.page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start Debian's Chromium; playwright's own is not downloaded."""
    program = shutil.which("chromium")
    assert program, "make check-full installs it"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox"] if os.geteuid() == 0 else []
        )
        yield browser
        browser.close()


def opened(
    browser: Browser, file: Path, size: tuple[int, int] = WIDE, dark: bool = False, scripts: bool = True
) -> Seen:
    """Open a file in a window of this size, offline."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if dark else "light",
        java_script_enabled=scripts,
        offline=True,
    )
    seen, own = Seen(context.new_page()), file.resolve().as_uri()
    seen.page.on("request", lambda one: seen.asked.append(one.url) if not one.url.startswith(("data:", own)) else None)
    seen.page.on("console", lambda one: seen.said.append(f"{one.type}: {one.text}"))
    seen.page.on("pageerror", lambda error: seen.said.append(str(error)))
    seen.page.goto(own)
    return seen
