"""A guide's table, and how markdown and LaTeX write it."""

from __future__ import annotations

import re
from typing import NamedTuple

from sweeper.render.latex_escaping import escaped
from sweeper.text.untrusted import prose, visible

# Characters of a cell from which on LaTeX breaks its column into lines, and that fit on one line of \small.
LONG_CELL = 40
LINE = 90


class Table(NamedTuple):
    """Plain words in rows as wide as the header, not escaped; falsy without rows."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def __bool__(self) -> bool:
        return bool(self.rows)


def fenced(text: str, language: str) -> str:
    """A block of code that no line of the text can end."""
    longest = max(map(len, re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{visible(text)}\n{fence}"


def to_markdown(table: Table) -> str:
    """Pad a markdown table so that its columns stand under each other; '' without rows."""
    if not table:
        return ""
    cells = [[prose(cell).replace("|", "\\|") for cell in row] for row in (table.header, *table.rows)]
    widths = [max(3, *map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |" for row in cells]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def to_latex(table: Table, caption: str, label: str) -> str:
    """Write a floating booktabs table, never wider than the line; '' without rows. `caption` is plain words.

    Needs the packages amssymb, array, booktabs and graphicx.
    """
    if not table:
        return ""
    head, *body = (" & ".join(map(escaped, row)) + r" \\" for row in (table.header, *table.rows))
    lines = [
        r"\begin{table}[htbp]",
        r"\centering",
        _size(len(body)),
        r"\setlength{\belowcaptionskip}{4pt}",
        rf"\caption{{{escaped(caption)}}}",
        rf"\label{{{label}}}",
        # \width is the table's own: it is shrunk, never blown up.
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{{_columns(table)}}}",
        r"\toprule",
        head,
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}}",
        r"\end{table}",
    ]
    return "\n".join(lines)


def _size(rows: int) -> str:
    """A font that leaves the table on one page."""
    return r"\small" if rows <= 30 else r"\footnotesize" if rows <= 45 else r"\scriptsize"


def _columns(table: Table) -> str:
    """Short columns as wide as they are; long ones share what is left of the line, by how long they are."""
    widths = [max(map(len, column)) for column in zip(table.header, *table.rows, strict=True)]
    longest = sum(width for width in widths if width > LONG_CELL)
    left = max(LINE - sum(width + 2 for width in widths if width <= LONG_CELL), LONG_CELL)
    if longest <= left:
        return "l" * len(widths)
    paragraph = r">{{\raggedright\arraybackslash}}p{{{:.2f}\linewidth}}"
    return "".join("l" if width <= LONG_CELL else paragraph.format(left * width / longest / LINE) for width in widths)
