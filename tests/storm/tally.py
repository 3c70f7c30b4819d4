"""What a storm did to a study, read from what it left: nothing may be lost, doubled, changed, begun again or blamed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from sweeper.ledger.events import RungReached, TrialFinished, from_line
from sweeper.ledger.outbox import lines_of
from sweeper.records import StudyRecord
from sweeper.search.database import reading
from sweeper.search.retried_trials import current
from tests.e2e.workplace import trial_figures


@dataclass
class Tally:
    """Counts over the studies of a kind of storm; all but the first five must be 0.

    `lost` and `changed` are trials that the record lacks, or has with other figures than an undisturbed study;
    `doubled` are trials that a store has twice, or that ended twice in different ways; `scratch` trials measured an
    earlier rung again after a later one; `blamed` failed; `left` are processes that outlived the study;
    `unexpected` are exit codes that do not say what happened, and tracebacks. `by_ray` are runs that Ray itself ended,
    with a line of its own and exit code 1: it does where its raylet dies while the driver registers with it.
    """

    studies: int = 0
    blows: int = 0
    runs: int = 0
    seconds: float = 0.0
    by_ray: int = 0
    lost: int = 0
    doubled: int = 0
    scratch: int = 0
    changed: int = 0
    blamed: int = 0
    left: int = 0
    unexpected: int = 0

    def add(self, other: Tally) -> None:
        """Add another storm's counts."""
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))

    @property
    def clean(self) -> bool:
        """Whether nothing happened that must not."""
        return not any(list(asdict(self).values())[5:])


def compared(found: StudyRecord, whole: StudyRecord, outbox: Path, stored: Iterable[str]) -> Tally:
    """Hold a study against an undisturbed one; `stored` are the keys of the search store's finished trials."""
    mine, expected = trial_figures(found), trial_figures(whole)
    failed = {trial.spec.key for trial in found.trials if trial.state == "failed"}
    again, ends = _measured_again(outbox)
    twice = [key for key, count in Counter(stored).items() if count > 1]
    return Tally(
        studies=1,
        lost=len(expected.keys() - mine.keys()) + len(expected.keys() - {*stored}),
        doubled=len(twice) + len(found.trials) - len(mine) + len(mine.keys() - expected.keys()) + ends,
        scratch=again,
        changed=sum(mine[key] != expected[key] for key in mine.keys() & expected.keys() - failed),
        blamed=len(failed),
    )


def stored_keys(url: str, study_name: str) -> list[str]:
    """Return the keys of a study's finished trials in its search store; those that were run again count once."""
    with reading(url) as storage:
        assert storage is not None
        mine = [found._study_id for found in storage.get_all_studies() if found.study_name.startswith(f"{study_name}.")]
        trials = [trial for number in mine for trial in current(storage.get_all_trials(number))]
        return [trial.user_attrs["key"] for trial in trials if trial.state.is_finished()]


def _measured_again(outbox: Path) -> tuple[int, int]:
    """Count trials that went back behind a rung they had reported, and trials with two different ends."""
    furthest: dict[str, int] = {}
    back: set[str] = set()
    ends: dict[str, set[str]] = {}
    for line in lines_of(outbox, undelivered=False):
        event = from_line(line)
        if isinstance(event, RungReached):
            key, step = event.spec.key, event.rung.step
            if step < furthest.get(key, 0):
                back.add(key)
            furthest[key] = max(step, furthest.get(key, 0))
        elif isinstance(event, TrialFinished):
            ends.setdefault(event.spec.key, set()).add(event.state)
    return len(back), sum(len(states) > 1 for states in ends.values())
