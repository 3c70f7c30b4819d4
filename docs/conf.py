"""Sphinx's settings for the documentation site: `make docs` builds it from the repository's root."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from reference import write_reference  # noqa: E402

write_reference(HERE.parent / "build" / "reference")

project = "sweeper"
extensions = ["myst_parser"]
root_doc = "docs/index"
include_patterns = [
    *("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "docs/*.md", "docs/*/*.md"),
    *("build/reference/*.md", "reports/*.md", "reports/*/guide.md", "reports/atlas/atlas.md"),
]
source_suffix = {".md": "markdown"}
myst_heading_anchors = 4
# Links to what is no page, such as a folder: tests/test_docs.py knows whether they lead somewhere.
suppress_warnings = ["myst.xref_missing", "myst.header"]
html_theme = "furo"
html_title = "sweeper"
html_copy_source = False
