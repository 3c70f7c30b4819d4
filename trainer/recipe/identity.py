"""The identity of a configuration: its fields, except those added later that hold their default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo


class Later:
    """Marks a field that was added after studies had been recorded, as in `Annotated[int, Later()] = 0`."""


def identity(part: object) -> Any:
    """Return a configuration's identity as plain values: every field except those added later that hold their default.

    So a study that was recorded before a field existed keeps its hashes and keys.
    """
    if isinstance(part, BaseModel):
        fields = type(part).model_fields.items()
        named = {name: (getattr(part, name), field) for name, field in fields}
        return {name: identity(value) for name, (value, field) in named.items() if not _is_unused(value, field)}
    if isinstance(part, Mapping):
        return {name: identity(value) for name, value in part.items()}
    return [identity(value) for value in part] if isinstance(part, (list, tuple)) else part


def _is_unused(value: object, field: FieldInfo) -> bool:
    return any(isinstance(mark, Later) for mark in field.metadata) and value == field.get_default()
