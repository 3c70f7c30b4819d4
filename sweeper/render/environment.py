"""How templates are read: one environment for markdown, with the filters that every page uses, and one for HTML."""

from __future__ import annotations

import re

from jinja2 import Environment, PackageLoader, StrictUndefined

from sweeper.render.tables.table import to_markdown
from sweeper.text.untrusted import prose


def tidied(text: str) -> str:
    """Return a rendered page without spaces at line ends or runs of blank lines, and with a newline at its end."""
    lines = "\n".join(line.rstrip() for line in text.splitlines())
    return re.sub(r"\n{3,}", "\n\n", lines).strip() + "\n"


def html_environment() -> Environment:
    """Return an environment that escapes every word; a name that a template lacks is an error."""
    return Environment(
        loader=PackageLoader("sweeper.render", "templates"),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
    )


def markdown_environment() -> Environment:
    """Return an environment with the filters `prose` and `md`; a name that a template lacks is an error."""
    # No autoescape: this is markdown, and words of studies are escaped by `prose` and `to_markdown`.
    environment = Environment(
        loader=PackageLoader("sweeper.render", "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )
    environment.filters.update(prose=prose, md=to_markdown)
    return environment
