"""What the functions return: data, and the text that a console or a notebook shows of it."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

import pandas as pd

from sweeper.errors import StudyError

if TYPE_CHECKING:
    from sweeper.commands.run import Result
    from sweeper.guide.schema.guide import Guide
    from sweeper.records import StudyRecord, TrialState
    from sweeper.study import Study

T = TypeVar("T")

FRAME_HEIGHT = 900  # pixels of the page in a notebook


@dataclass(frozen=True, repr=False)
class Answer(Generic[T]):
    """What a command found, as `data`, and as the `text` that the command prints.

    `is_markdown`: a notebook shows the text as markdown, and else as it is.
    """

    data: T
    text: str
    is_markdown: bool = False

    def __repr__(self) -> str:
        return self.text

    def _repr_markdown_(self) -> str:
        return self.text if self.is_markdown else f"```\n{self.text}\n```"


class StudyGuide:
    """A study's guide as it lies in its folder: its verdict, its numbers as frames, its page in a notebook.

    >>> guide = StudyGuide(Path("reports/null"))
    >>> guide.verdict
    'No evidence that any setting helps or hurts, on 6 fresh seeds.'
    >>> sorted(guide.tables)
    ['claims', 'controls', 'front', 'heuristics', 'other_claims', 'rules', 'settings']
    """

    def __init__(self, folder: Path) -> None:
        """Read nothing yet; raise StudyError where no guide lies there."""
        self.folder = folder
        if not (folder / "guide.json").is_file():
            raise StudyError(f"{folder} holds no guide", "give the folder that has guide.json in it")

    @property
    def path(self) -> Path:
        """The guide as markdown."""
        return self.folder / "guide.md"

    @cached_property
    def model(self) -> Guide:
        """All that the guide says, as in guide.json. Raises DataError for one of another version."""
        from sweeper.commands.compare import read_guide

        return read_guide(self.folder / "guide.json")

    @cached_property
    def record(self) -> StudyRecord:
        """The record it was made from. Raises StudyError where that does not lie beside it."""
        from sweeper.commands.report import RECORD, read_record

        return read_record(self.folder / RECORD)

    @property
    def verdict(self) -> str:
        """The guide's first sentence."""
        return self.model.verdict.headline

    @property
    def points(self) -> tuple[str, ...]:
        """The few sentences below it."""
        return self.model.verdict.points

    @cached_property
    def tables(self) -> Mapping[str, pd.DataFrame]:
        """The guide's numbers, a frame for each of its lists.

        `heuristics`: a row for each level of a knob; `settings`: one for each setting and stage; `claims` on fresh
        seeds about the objective, and `other_claims` about control arms and other metrics; `controls` against settings;
        `front`: what each arm trades, with second objectives; `rules`. A change has three columns: its middle, its low
        and its high.
        """
        guide = self.model
        levels = [
            {"knob": heuristic.knob, "against": heuristic.against, **level.model_dump(mode="json", exclude_none=True)}
            for heuristic in guide.heuristics.rows
            for level in heuristic.levels
        ]
        settings = [
            {"stage": stage.stage, **cell.model_dump(mode="json", exclude_none=True)}
            for stage in guide.stages
            for cell in stage.cells
        ]
        front = [row.model_dump(mode="json", exclude_none=True) for row in guide.front.rows] if guide.front else []
        lists = {
            "claims": guide.claims,
            "other_claims": guide.side_claims,
            "controls": guide.controls,
            "rules": guide.rules,
        }
        found = {name: [row.model_dump(mode="json", exclude_none=True) for row in rows] for name, rows in lists.items()}
        return {
            name: pd.json_normalize(rows, sep="_")
            for name, rows in {"heuristics": levels, "settings": settings, "front": front, **found}.items()
        }

    def trials(self) -> pd.DataFrame:
        """Return a row for each trial and rung, with every parameter and metric, as `sweeper export` writes them."""
        from sweeper.commands.export import to_table

        return to_table(self.record)

    def __repr__(self) -> str:
        return "\n".join([self.verdict, *(f"- {point}" for point in self.points), f"({self.path})"])

    def _repr_html_(self) -> str:
        """Return the guide's page in a frame of its own, in which its scripts cannot reach the notebook."""
        page = html.escape((self.folder / "guide.html").read_text(encoding="utf-8"))
        style = "width: 100%; border: 0"
        return f'<iframe srcdoc="{page}" sandbox="allow-scripts" height="{FRAME_HEIGHT}" style="{style}"></iframe>'


class StudyRun:
    """How a run ended: its trials by state, whether all is done, its guide."""

    def __init__(self, study: Study, result: Result) -> None:
        self.study, self._result = study, result

    @property
    def states(self) -> Mapping[TrialState, int]:
        """How many trials are in each state."""
        return self._result.counts.states

    @property
    def done(self) -> bool:
        """Whether every trial is decided."""
        return self._result.counts.done

    @property
    def failures(self) -> tuple[str, ...]:
        """Which trials failed and why, each reason once."""
        return self._result.failures

    @property
    def delivered(self) -> bool:
        """Whether MLflow has the whole record; if not, the same call delivers the rest."""
        return self._result.delivered

    @cached_property
    def guide(self) -> StudyGuide:
        """The guide. Raises StudyError where none was written."""
        if self._result.guide is None:
            raise StudyError(f"no guide of study {self.study.name!r} was written", "run it again")
        return StudyGuide(self._result.guide.parent)

    def trials(self) -> pd.DataFrame:
        """Return a row for each trial and rung, with every parameter and metric, as `sweeper export` writes them."""
        return self.guide.trials()

    def __repr__(self) -> str:
        summary = self._result.summary("sweeper.run(...)", "sweeper.run(..., retry=True)")
        return f"{summary}\n{self.guide!r}" if self._result.guide else summary

    def _repr_html_(self) -> str | None:
        return self.guide._repr_html_() if self._result.guide else None
