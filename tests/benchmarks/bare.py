"""Lets `trainer` be imported on a machine that has torch and no pydantic: the same recipes, nothing validated.

For the benchmark alone, which spells its recipes out. A machine with pydantic uses pydantic.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from inspect import get_annotations
from types import ModuleType
from typing import Any


class BareModel:
    """Fields as they were given or by default; what validates or dumps is not there."""

    model_config: dict[str, object]

    def __init__(self, **given: object) -> None:
        fields = [name for kind in reversed(type(self).__mro__) for name in get_annotations(kind)]
        values = {name: getattr(type(self), name) for name in fields if hasattr(type(self), name)} | given
        self.__dict__.update(values)


def field(default: object = None, **_rules: object) -> object:
    """Stand in for pydantic's Field: the default, without its rules."""
    return default


def unchecked(*_fields: object, **_mode: str) -> Callable[[Any], Any]:
    """Stand in for its validators, which are never called."""
    return lambda function: function


def lend_pydantic() -> None:
    """Put a stand-in where `import pydantic` finds it, if there is no pydantic."""
    try:
        import pydantic  # noqa: F401
    except ImportError:
        lent = ModuleType("pydantic")
        names = {"BaseModel": BareModel, "ConfigDict": dict, "Field": field}
        names |= {"ModelWrapValidatorHandler": object, "ValidationInfo": object}  # of annotations alone
        names |= dict.fromkeys(
            ("field_validator", "model_validator", "BeforeValidator", "Discriminator", "Tag"), unchecked
        )
        for name, what in names.items():
            setattr(lent, name, what)
        lent.ValidationError = ValueError  # type: ignore[attr-defined]
        sys.modules["pydantic"] = lent
        core = ModuleType("pydantic_core")
        core.InitErrorDetails, core.PydanticCustomError = dict, ValueError  # type: ignore[attr-defined]
        sys.modules["pydantic_core"] = core
