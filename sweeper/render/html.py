"""A guide as one HTML file that loads nothing: pictures, data and script are inside, and a study's words are text."""

from __future__ import annotations

import base64
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import unquote

from markdown_it import MarkdownIt
from markdown_it.token import Token

from sweeper.render.environment import html_environment
from sweeper.render.page.script import page_script, policy_hash

# As `templates/guide.md.j2` begins a folded section.
FOLD = re.compile(r"<details><summary><b>(?P<title>[^<]+)</b> · (?P<gist>[^<]+)</summary>")
SHORT, SHORT_HEAD = 24, 48  # characters of a cell that is not broken into lines, and of a row's first one


class Heading(NamedTuple):
    """A section, for the table of contents."""

    anchor: str
    text: str


def render_html(
    markdown: str, folder: Path, title: str, instead: Mapping[str, str] = MappingProxyType({}), data: str = ""
) -> str:
    """Convert a guide, with the PNGs of `folder` that it shows; a picture that is not there is named instead.

    `instead` is HTML to show in place of a picture, by the picture's file; `data` is what the page's script reads, as
    JSON that has no '<'.
    """
    assert "<" not in data, "data could end their element"
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(markdown)
    _fold(tokens)
    contents = list(_anchored(tokens))
    _set_cells(tokens)
    _frame_tables(tokens)
    _mark_pictures(tokens)
    _replace_pictures(tokens, instead)
    _inline_pictures(tokens, folder)
    first = next((place for place, one in enumerate(tokens) if one.tag == "h2"), len(tokens))
    lead, body = (parser.renderer.render(part, parser.options, {}) for part in (tokens[:first], tokens[first:]))
    script = page_script()
    template = html_environment().get_template("guide.html.j2")
    page = template.render(
        title=title, lead=lead, contents=contents, body=body, data=data, script=script, policy=policy_hash(script)
    )
    return page.strip() + "\n"


def _anchored(tokens: Sequence[Token]) -> Iterator[Heading]:
    """Give each h2 an id, those of folded sections too."""
    taken: set[str] = set()
    for opening, inline in pairwise(tokens):
        if opening.type == "heading_open" and opening.tag == "h2":
            text = _plain(inline)
            # Without the number, so that links outlive a new section.
            anchor = re.sub(r"[^a-z]+", "-", text.lower()).strip("-") or "section"
            while anchor in taken:
                anchor += "-"
            taken.add(anchor)
            opening.attrSet("id", anchor)
            yield Heading(anchor, text)


def _fold(tokens: list[Token]) -> None:
    """Turn the lines that begin and end a folded section into elements.

    The parser takes no HTML, and a study's words hold no bare '<': only our own template writes such a line.
    """
    for place in range(len(tokens) - 3, -1, -1):
        paragraph, inline = tokens[place], tokens[place + 1]
        if paragraph.type != "paragraph_open":
            continue
        if begun := FOLD.fullmatch(inline.content):
            tokens[place : place + 3] = _summary(begun["title"], begun["gist"])
        elif inline.content == "</details>":
            tokens[place : place + 3] = [Token("details_close", "details", -1, block=True)]


def _summary(title: str, gist: str) -> list[Token]:
    heading = Token("inline", "", 0, children=[Token("text", "", 0, content=title)], content=title, level=1)
    rest = Token("inline", "", 0, children=[Token("text", "", 0, content=f" {gist}")], content=gist, level=1)
    return [
        Token("details_open", "details", 1, block=True),
        Token("summary_open", "summary", 1, block=True),
        Token("heading_open", "h2", 1, block=True),
        heading,
        Token("heading_close", "h2", -1, block=True),
        rest,
        Token("summary_close", "summary", -1, block=True),
    ]


def _set_cells(tokens: Sequence[Token]) -> None:
    """Keep short cells on one line and long ones wide enough to read, and head columns and rows.

    A screen reader reads the heads of both with every figure.
    """
    for place, token in enumerate(tokens):
        if token.type not in ("th_open", "td_open"):
            continue
        closing, text = tokens[place + 2], tokens[place + 1].content
        heads = token.type == "th_open" or tokens[place - 1].type == "tr_open"
        token.tag = closing.tag = "th" if heads and text else "td"
        if heads and text:
            token.attrSet("scope", "col" if token.type == "th_open" else "row")
        if token.type == "td_open":
            token.attrSet("class", "short" if len(text) <= (SHORT_HEAD if heads else SHORT) else "long")


def _frame_tables(tokens: list[Token]) -> None:
    """Let wide tables scroll by themselves, also from the keyboard; no two frames have one name."""
    framed: list[Token] = []
    named: Counter[str] = Counter()
    for place, token in enumerate(tokens):
        if token.type == "table_open":
            name = next((_plain(one) for one in tokens[place:] if one.type == "inline" and one.content), "table")
            named[name] += 1
            label = f"Table: {name}" + (f", {named[name]}" if named[name] > 1 else "")
            frame = Token("div_open", "div", 1, block=True)
            frame.attrs = {"class": "scroll", "role": "region", "tabindex": "0", "aria-label": label}
            framed.append(frame)
        framed.append(token)
        if token.type == "table_close":
            framed.append(Token("div_close", "div", -1, block=True))
    tokens[:] = framed


def _mark_pictures(tokens: Sequence[Token]) -> None:
    """Mark a paragraph that is a picture, and the one after it as its caption."""
    for place, token in enumerate(tokens):
        if token.type == "inline" and [one.type for one in token.children or ()] == ["image"]:
            tokens[place - 1].attrSet("class", "picture")
            if place + 2 < len(tokens) and tokens[place + 2].type == "paragraph_open":
                tokens[place + 2].attrSet("class", "caption")


def _replace_pictures(tokens: list[Token], instead: Mapping[str, str]) -> None:
    """Put HTML in the place of the paragraphs that are these pictures."""
    for place in range(len(tokens) - 2, 0, -1):
        children = tokens[place].children or []
        html = instead.get(str(children[0].attrGet("src"))) if [one.type for one in children] == ["image"] else None
        if html:
            tokens[place - 1 : place + 2] = [Token("html_block", "", 0, content=html, block=True)]


def _inline_pictures(tokens: Sequence[Token], folder: Path) -> None:
    for token in tokens:
        for image in token.children or ():
            if image.type == "image":
                data = _picture(str(image.attrGet("src")), folder)
                if data:
                    image.attrSet("src", data)
                else:
                    image.type, image.children, image.content = "text", None, f"[{image.content}]"


def _picture(source: str, folder: Path) -> str | None:
    """Read a PNG that lies in the folder itself; nothing from elsewhere is ever loaded."""
    name = unquote(source)
    if Path(name).name != name or not name.endswith(".png"):
        return None
    try:
        return "data:image/png;base64," + base64.b64encode((folder / name).read_bytes()).decode()
    except (OSError, ValueError):
        return None


def _plain(inline: Token) -> str:
    return "".join(one.content if one.type != "softbreak" else " " for one in inline.children or ())
