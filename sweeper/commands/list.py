"""`sweeper list`: the studies of a workspace, and how far each is."""

from __future__ import annotations

from typing import NamedTuple

from sweeper.commands.status import Counts, watched
from sweeper.errors import SweeperError
from sweeper.study.registration import Registration
from sweeper.workspace import Workspace


class Listed(NamedTuple):
    """A study of a workspace: when it was begun, its trials by state, and the process or other host that runs it.

    Both are '' where nobody does. Where its registration or its search cannot be read, `trouble` says why.
    """

    name: str
    begun: str = ""
    counts: Counts | None = None
    runner: str = ""
    host: str = ""
    trouble: str = ""

    def as_json(self) -> dict[str, object]:
        """Return what `sweeper list --json` prints of it."""
        known = {"states": dict(self.counts.states), "done": self.counts.done} if self.counts else {}
        return {
            "study": self.name,
            "begun": self.begun,
            "runner": self.runner,
            "host": self.host,
            "trouble": self.trouble,
            **known,
        }

    def cells(self) -> tuple[str, str, str, str]:
        """Return its row for people: name, how far it is, trials by state, when it was begun."""
        if not self.counts:
            return self.name, "?", self.trouble, self.begun
        runs = f"process {self.runner}" if self.runner else f"on {self.host}" if self.host else ""
        state = runs or ("done" if self.counts.done else "not done")
        trials = ", ".join(f"{number} {name}" for name, number in self.counts.states.items())
        return self.name, state, trials, self.begun


def list_studies(workspace: Workspace) -> list[Listed]:
    """Return the studies of a workspace, the one begun last first."""
    found = [_listed(name, workspace) for name in workspace.studies()]
    return sorted(found, key=lambda study: study.begun, reverse=True)


def describe(studies: list[Listed], workspace: Workspace) -> str:
    """Write them as a table, or say that there is none."""
    if not studies:
        return f"no study in {workspace.root}"
    rows = [("study", "state", "trials", "begun"), *(study.cells() for study in studies)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _listed(name: str, workspace: Workspace) -> Listed:
    registration: Registration | None = None
    try:
        registration = workspace.registration(name)
        if registration is None:
            return Listed(name, trouble="nothing is registered of it")
        counts, runner, elsewhere = watched(registration.study, workspace)
        return Listed(name, registration.begun, counts, runner, elsewhere.host if elsewhere else "")
    except (SweeperError, ValueError) as error:  # a damaged file, a store that does not answer
        said = error.message if isinstance(error, SweeperError) else f"it cannot be read: {str(error).splitlines()[0]}"
        return Listed(name, registration.begun if registration else "", trouble=said)
