"""A part of a recipe that is one of several kinds, named by its field `kind`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence


def tag_of(default: str) -> Callable[[object], str]:
    """Return what chooses the one kind that a recipe means, so that only its mistakes are reported: '<kind>'."""

    def tag(recipe: object) -> str:
        kind = recipe.get("kind", default) if isinstance(recipe, Mapping) else getattr(recipe, "kind", default)
        return f"<{kind}>"

    return tag


def one_of(kinds: Sequence[str]) -> Callable[[object], object]:
    """Return what refuses a kind that is none of these, in words."""
    *first, last = map(repr, kinds)

    def known(recipe: object) -> object:
        if isinstance(recipe, Mapping) and recipe.get("kind", kinds[0]) not in kinds:
            raise ValueError(f"kind must be {', '.join(first)} or {last}, not {recipe['kind']!r}")
        return recipe

    return known
