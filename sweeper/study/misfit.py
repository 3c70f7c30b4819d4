"""Parts of a study that contradict each other, each reported where one of them is written."""

from __future__ import annotations

from typing import Literal, NamedTuple

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

Loc = tuple[int | str, ...]


class Misfit(NamedTuple):
    """A contradiction: where it is written, a sentence that begins with 'must', and what was given there."""

    loc: Loc
    says: str
    given: object
    kind: Literal["misfit", "unknown_field"] = "misfit"

    def details(self) -> InitErrorDetails:
        """The same, as pydantic collects it."""
        problem = PydanticCustomError(self.kind, "{says}", {"says": self.says})
        return InitErrorDetails(type=problem, loc=self.loc, input=self.given)


def details_of(error: ValidationError, loc: Loc = ()) -> list[InitErrorDetails]:
    """Return what `error` collected, moved under `loc`."""
    return [
        # pydantic builds its own kinds of error from their names; a misfit is of ours.
        Misfit((*loc, *line["loc"]), line["msg"], line["input"]).details()
        if line["type"] == "misfit"
        else InitErrorDetails(type=line["type"], loc=(*loc, *line["loc"]), input=line["input"], ctx=line.get("ctx", {}))
        for line in error.errors(include_url=False)
    ]
