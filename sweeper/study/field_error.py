"""Parts of a study that contradict each other, each reported where one of them is written."""

from __future__ import annotations

from typing import Literal, NamedTuple

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

Loc = tuple[int | str, ...]


class FieldError(NamedTuple):
    """A contradiction: where it is written, a sentence that begins with 'must', and what was given there."""

    loc: Loc
    says: str
    given: object
    kind: Literal["field_error", "unknown_field"] = "field_error"

    def details(self) -> InitErrorDetails:
        """The same, as pydantic collects it."""
        problem = PydanticCustomError(self.kind, "{says}", {"says": self.says})
        return InitErrorDetails(type=problem, loc=self.loc, input=self.given)


def details_of(error: ValidationError, loc: Loc = ()) -> list[InitErrorDetails]:
    """Return what `error` collected, moved under `loc`."""
    return [
        # pydantic builds its own kinds of error from their names; a field_error is of ours.
        FieldError((*loc, *line["loc"]), line["msg"], line["input"]).details()
        if line["type"] == "field_error"
        else InitErrorDetails(type=line["type"], loc=(*loc, *line["loc"]), input=line["input"], ctx=line.get("ctx", {}))
        for line in error.errors(include_url=False)
    ]
