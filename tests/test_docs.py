"""What the documentation names exists: files, headings, modules and their members, make targets, commands, folders.

Names are looked up in the sources with ast, not by importing them: torch alone would take longer than all of this.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import yaml

from tests.places import ROOT
from tests.test_closed_sets import closed_sets

PAGES = sorted(
    [*(ROOT / f"{name}.md" for name in ("README", "SECURITY", "CONTRIBUTING", "CHANGELOG")), *ROOT.glob("docs/**/*.md")]
)
PACKAGES = ("sweeper", "trainer")
# Fenced blocks, and spans, which may go over the end of a line though not of a paragraph.
CODE = re.compile(r"^```.*?^```|`(?:[^`\n]|\n(?!\n))+`", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
FILE = re.compile(r"(?:sweeper|trainer|tests|studies|reports|docs|examples)/[\w./*-]*")
DOTTED = re.compile(r"(?:sweeper|trainer|tests)(?:\.\w+)+")
PLACEHOLDER = re.compile(r"\b[A-Z]{2,}\b")  # as in reports/NAME/
TARGET = re.compile(r"(?<![\w-])make ([a-z][\w-]*)")
COMMAND = re.compile(r"(?<![\w./-])sweeper ([a-z][a-z-]*)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_everything_a_page_names_exists(page: Path) -> None:
    assert list(complaints(page.read_text(encoding="utf-8"), page)) == []


@pytest.mark.parametrize(
    "text",
    [
        "[gone](no/such/page.md)",
        "[gone](#no-such-heading)",
        "`trainer/regularisers/no_such_file.py`",
        "`tests/no_such_folder/*.py`",
        "`sweeper.search.race.NoSuchClass`",
        "`trainer.training.cohort.Cohort.no_such_method`",
        "`trainer.no_such_room`",
        "`python -m tests.golden.no_such_module`",
        "`make no-such-target`",
        "```\nmake no-such-target\n```",
        "`sweeper nosuchcommand FILE`",
    ],
)
def test_a_name_that_leads_nowhere_is_found(text: str) -> None:
    assert len(list(complaints(text, ROOT / "README.md"))) == 1


def test_architecture_names_every_room() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    rooms = [folder for package in PACKAGES for folder in (ROOT / package).iterdir() if any(folder.glob("*.py"))]
    names = [str(folder.relative_to(ROOT)) for folder in rooms]
    assert [name for name in names if f"`{name}/`" not in text] == []


@pytest.mark.parametrize(
    "name",
    [
        "sweeper/study/pruners.py: Pruner",
        "sweeper/study/study.py: keep",
        "trainer/recipe/auxiliary_losses.py: Encoder",
        "trainer/recipe/auxiliary_losses.py: ViewTimes",
        "trainer/recipe/backbone.py: BackboneKind",
        "trainer/recipe/data.py: name",
        "trainer/recipe/metrics.py: OptionalMetric",
        "trainer/recipe/objective.py: ObjectiveKind",
        "trainer/recipe/objective.py: Path",
        "trainer/recipe/objective.py: Predicts",
        "trainer/recipe/objective.py: Times",
        "trainer/recipe/regulariser.py: Distance",
        "trainer/recipe/regulariser.py: Features",
        "trainer/recipe/regulariser.py: TauUnits",
        "trainer/recipe/regulariser.py: Variant",
    ],
)
def test_the_page_on_studies_names_every_word_that_a_key_takes(name: str) -> None:
    spans = " ".join(CODE.findall((ROOT / "docs/studies.md").read_text(encoding="utf-8")))
    missing = {word for word in closed_sets()[name] if not re.search(rf"\b{word}\b", spans)}
    assert not missing, f"docs/studies.md does not name {missing}"


def test_every_page_of_docs_is_linked_from_another() -> None:
    linked = {target for page in PAGES for target in _targets(page)}
    assert [str(page.relative_to(ROOT)) for page in ROOT.glob("docs/**/*.md") if page not in linked] == []


def test_the_commit_hooks_run_what_make_check_runs() -> None:
    recipe = re.search(r"^check:.*\n((?:\t.*\n)+)", _makefile(), re.MULTILINE)
    assert recipe
    checks = [line.strip().replace("$(BIN)", ".venv/bin") for line in recipe[1].splitlines()]
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    hooks = [hook for repository in config["repos"] for hook in repository["hooks"]]
    assert [hook["entry"] for hook in hooks] == checks
    assert {repository["repo"] for repository in config["repos"]} == {"local"}


def test_both_packages_are_installed_as_typed() -> None:
    data = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["package-data"]
    for package in PACKAGES:
        assert (ROOT / package / "py.typed").is_file()
        assert "py.typed" in data[package]


def test_every_file_of_a_package_that_is_no_module_is_installed() -> None:
    data = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["package-data"]
    installed = {
        file
        for package, patterns in data.items()
        for pattern in patterns
        for file in ROOT.joinpath(*package.split(".")).glob(pattern)
    }
    files = [file for package in PACKAGES for file in (ROOT / package).rglob("*") if file.is_file()]
    kept = [file for file in files if file.suffix not in (".py", ".pyc")]
    assert len(kept) > 20
    assert [str(file.relative_to(ROOT)) for file in kept if file not in installed] == []


def complaints(text: str, page: Path) -> Iterator[str]:
    """Yield a line for everything that `text` names, read as if it stood in `page`, and that does not exist."""
    prose = CODE.sub("", text)
    for link in LINK.findall(prose):
        yield from _link_complaints(link, text, page)
    for code in CODE.findall(text):
        span = " ".join(code.strip("`").split())
        if FILE.fullmatch(span) and not PLACEHOLDER.search(span) and not list(ROOT.glob(span)):
            yield f"no such file: {span}"
        name = span.removesuffix("()")
        if DOTTED.fullmatch(name) and not name.endswith(".py") and not resolves(name):
            yield f"no such name: {span}"
        yield from (f"no such module: {name}" for name in re.findall(r"-m (tests[\w.]+)", span) if not resolves(name))
        yield from (f"no such target: make {name}" for name in TARGET.findall(span) if name not in _make_targets())
        yield from (f"no such command: sweeper {name}" for name in COMMAND.findall(span) if name not in _commands())


def _link_complaints(link: str, text: str, page: Path) -> Iterator[str]:
    path, _, anchor = link.partition("#")
    if re.match(r"[a-z]+:", path):
        return
    target = page.parent / path if path else page
    if not target.exists():
        yield f"no such page: {link}"
    elif anchor and anchor not in _anchors(target.read_text(encoding="utf-8") if path else text):
        yield f"no such heading: {link}"


def _anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _targets(page: Path) -> Iterator[Path]:
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        yield (page.parent / link.partition("#")[0]).resolve()


@cache
def _makefile() -> str:
    return (ROOT / "Makefile").read_text(encoding="utf-8")


@cache
def _make_targets() -> frozenset[str]:
    return frozenset(re.findall(r"^([a-z][\w-]*):", _makefile(), re.MULTILINE))


@cache
def _commands() -> frozenset[str]:
    page = (ROOT / "tests/golden/help.txt").read_text(encoding="utf-8").partition("Usage: sweeper init ")[0]
    return frozenset(re.findall(r"^  ([a-z][a-z-]*)  ", page, re.MULTILINE))


def resolves(dotted: str) -> bool:
    """Whether a dotted name is a package, a module, or a name that one of them defines or re-exports."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        place = ROOT.joinpath(*parts[:length])
        for file in (place.with_suffix(".py"), place / "__init__.py"):
            if file.is_file():
                return _defines(_tree(file).body, parts[length:])
    return False


def _defines(body: list[ast.stmt], names: list[str]) -> bool:
    if not names:
        return True
    for node in body:
        if names[0] in _names_of(node):
            return _defines(node.body if isinstance(node, ast.ClassDef) else [], names[1:])
    return False


def _names_of(node: ast.stmt) -> set[str]:
    match node:
        case ast.ClassDef(name=name) | ast.FunctionDef(name=name):
            return {name}
        case ast.AnnAssign(target=ast.Name(id=name)):
            return {name}
        case ast.Assign(targets=targets):
            return {leaf.id for target in targets for leaf in ast.walk(target) if isinstance(leaf, ast.Name)}
        case ast.ImportFrom(names=aliases) | ast.Import(names=aliases):
            return {alias.asname or alias.name for alias in aliases}
        case ast.If(test=ast.Name(id="TYPE_CHECKING"), body=body):  # names that are imported when they are used
            return set().union(*map(_names_of, body))
        case _:
            return set()


@cache
def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def test_few_modules_lie_loose_and_the_architecture_names_them() -> None:
    """A package's own folder is no room: what lies there is what every room needs."""
    said = (ROOT / "docs" / "architecture.md").read_text().partition("Loose modules:")[2].partition("\n\n")[0]
    said = said.partition("The six modules that import MLflow")[0]
    loose = {path.name for path in (ROOT / "sweeper").glob("*.py") if not path.name.startswith("__")}
    assert {Path(name).name for name in re.findall(r"`(sweeper/\w+\.py)`", said)} == loose
    assert len(loose) <= 6
