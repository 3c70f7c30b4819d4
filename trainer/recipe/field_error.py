"""A part of a configuration that another part contradicts, as pydantic collects it: at its place, in a sentence."""

from __future__ import annotations

from pydantic_core import InitErrorDetails, PydanticCustomError


def field_error(loc: tuple[str, ...], says: str, value: object) -> InitErrorDetails:
    """Return the mistake of `value`, written at `loc`; the sentence begins with 'must'."""
    return InitErrorDetails(type=PydanticCustomError("field_error", "{says}", {"says": says}), loc=loc, input=value)
