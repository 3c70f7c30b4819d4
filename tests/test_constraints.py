"""`constraints.txt` holds the versions of everything that pyproject.toml asks for, extra by extra.

What a package of an extra needs in its turn is known only where it is installed. All extras together and each by itself
were resolved by `pip install --dry-run '.[EXTRA]' -c constraints.txt` when the file last grew: do so with a new extra.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, requires

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.places import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS: dict[str, list[str]] = {"": PROJECT["dependencies"], **PROJECT["optional-dependencies"]}
LINES = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
HELD = {canonicalize_name(name): Version(version) for name, _, version in (line.partition("==") for line in LINES)}


def asked(extra: str) -> Iterator[Requirement]:
    """Yield what an extra asks for, and what it asks for of this project's own extras."""
    for text in EXTRAS[extra]:
        needed = Requirement(text)
        if needed.name == PROJECT["name"]:
            for other in needed.extras:
                yield from asked(other)
        else:
            yield needed


def below(first: Iterable[Requirement]) -> set[str]:
    """Return the names of what these need, and those need, as far as it is installed."""
    found, left = set[str](), list(first)
    while left:
        needed = left.pop()
        for extra in needed.extras or {""}:
            name = canonicalize_name(needed.name)
            key = f"{name}[{extra}]"
            if key in found or (needed.marker and not needed.marker.evaluate({"extra": ""})):
                continue
            found.add(key)
            try:
                texts = requires(name) or []
            except PackageNotFoundError:
                continue
            inner = map(Requirement, texts)
            left += [one for one in inner if not one.marker or one.marker.evaluate({"extra": extra})]
    return {key.partition("[")[0] for key in found}


def test_every_line_holds_one_package_at_one_version_and_none_an_address() -> None:
    assert [line for line in LINES if line.count("==") != 1 or set(line) & set(" @;/<>[]")] == []
    assert len(HELD) == len(LINES)
    assert sorted(LINES, key=str.lower) == LINES


@pytest.mark.parametrize("extra", EXTRAS)
def test_what_an_extra_asks_for_is_held_at_a_version_that_it_allows(extra: str) -> None:
    needed = list(asked(extra))
    assert needed
    wrong = [
        str(one)
        for one in needed
        if (version := HELD.get(canonicalize_name(one.name))) is None or not one.specifier.contains(version)
    ]
    assert wrong == []


@pytest.mark.parametrize("extra", EXTRAS)
def test_what_that_needs_in_its_turn_is_held_as_well(extra: str) -> None:
    # What torch's build for CUDA needs is pinned by torch itself.
    assert [
        name for name in below(asked(extra)) - HELD.keys() if not name.startswith(("nvidia", "cuda", "triton"))
    ] == []


def test_a_package_that_is_not_held_is_found() -> None:
    found = below([Requirement("pytest")])
    assert {"pytest", "pluggy", "iniconfig"} <= found
    assert found - (HELD.keys() - {"pluggy"}) == {"pluggy"}
