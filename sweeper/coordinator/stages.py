"""A study's stages in order, each a search over its trials; also the notes kept in the search store."""

from __future__ import annotations

import platform
from collections import Counter, deque
from collections.abc import Sequence

from sweeper.coordinator.choose_finalists import choose_finalists
from sweeper.coordinator.confirm_looks import ConfirmLooks
from sweeper.coordinator.finalists import Finalists
from sweeper.coordinator.input_hashes import hold
from sweeper.coordinator.paths import Paths
from sweeper.coordinator.seed_registry import SeedRegistry
from sweeper.errors import StudyError
from sweeper.planning.trials import screen_trials
from sweeper.records import Facts, Stage, TrialSpec, TrialState
from sweeper.search import Search
from sweeper.stores.retry import Patience
from sweeper.study import fresh_seeds, further_seeds
from sweeper.study.registration import NOTE
from trainer.recipe import ModuleRecipe, Recipe


class Stages:
    """The searches of the stages opened so far, and those to come; the screen is always open: its store has the notes.

    `stage` is the current one, `search` its search, `chosen` the finalists once the confirm stage is open.
    """

    def __init__(self, paths: Paths, stages: Sequence[Stage], patience: Patience, retry: bool) -> None:
        """`stages` are those to run. With `retry`, trials that failed run again."""
        self._paths, self._left, self._patience, self._retry = paths, deque(stages), patience, retry
        self._study = paths.registration.study
        self._registry = SeedRegistry(paths.seeds)
        self._searches: dict[Stage, Search] = {}
        self.stage: Stage = stages[0]
        self.chosen: Finalists | None = None

    @property
    def search(self) -> Search:
        """The search of the current stage."""
        return self._searches[self.stage]

    @property
    def is_over(self) -> bool:
        """Whether the current search's trials are the last: no further stage, and no further look."""
        return len(self._left) == 1 and not self._looks_call_for_more()

    def open(self) -> None:
        """Take the study's lease for this driver, and open its first stage.

        Raises StudyError, SetupError or ConflictError as a search does, ConflictError where another driver runs it.
        """
        screen = self._search("screen", screen_trials(self._study), retry=False)
        self._lease = screen.lease(platform.node(), str(self._paths.folder))
        self._lease.acquire()
        if self._retry:  # which is ours to say from here on
            screen.close()
            screen = self._search("screen", screen_trials(self._study), retry=True)
        screen.notes.write(NOTE, self._paths.registration.model_dump_json(by_alias=True))
        seeds = (*self._study.screen.seeds, *further_seeds(self._study))
        self._registry.add(self._paths.registration, seeds)
        self._open(self._left[0])

    def advance(self) -> None:
        """Go on to the next look or stage; safe to call again if the store did not answer.

        Raises StudyError where no trial of the screen could be trained: fresh seeds are not spent on that.
        """
        if self.stage == "screen" and {state for state, count in self.search.counts().items() if count} == {"failed"}:
            said = "every trial of the screen failed, so nothing is confirmed"
            again = "`sweeper retry`"
            if isinstance(self._study.recipe.model, ModuleRecipe):
                # Its code belongs to the study, so a corrected module is another study's.
                again += f", or, if your module was the cause, `sweeper rm {self._study.name}` and `sweeper run`"
            raise StudyError(said, f"see `sweeper logs`, correct the cause, then run {again}")
        if self._looks_call_for_more():
            self._take_next_look()
        else:
            self._open(self._left[1])
            self._left.popleft()

    def hold(self, recipe: Recipe, facts: Facts) -> None:
        """Raise DataError where a worker read other data, or has another extractor, than the study's first one."""
        hold(self._searches["screen"].notes, recipe, facts)

    def counts(self) -> Counter[TrialState]:
        """Count the trials of the stages opened so far by state."""
        counts: Counter[TrialState] = Counter()
        for search in self._searches.values():
            counts.update(search.counts())
        return counts

    def renew(self) -> None:
        """Renew the lease on the study; raise ConflictError if another driver holds it now."""
        self._lease.renew()

    def close(self) -> None:
        """Release the lease, and close the store."""
        self._lease.release()
        for search in self._searches.values():
            search.close()

    def _open(self, stage: Stage) -> None:
        if stage == "confirm":
            self.chosen = chosen = self._choose()
            self._looks = ConfirmLooks(self._study, chosen)
            self._search(stage, self._looks.due({}), self._retry)
            self._take_next_look()  # an earlier run may have taken part of it
        self.stage = stage

    def _due(self) -> tuple[TrialSpec, ...]:
        return self._looks.due(self._searches["confirm"].outcomes())

    def _looks_call_for_more(self) -> bool:
        return self.stage == "confirm" and not self._searches["confirm"].has_all(self._due())

    def _take_next_look(self) -> None:
        self._searches["confirm"].extend(self._due())

    def _search(self, stage: Stage, trials: Sequence[TrialSpec], retry: bool) -> Search:
        self._searches[stage] = Search(self._paths.store_url, self._study, stage, trials, self._patience, retry)
        return self._searches[stage]

    def _choose(self) -> Finalists:
        """Return the candidates and the fresh seeds, chosen once the screen is finished."""
        screened, mine = self._searches["screen"], self._paths.registration
        if not screened.done():
            raise StudyError("the screen is not finished, so nothing can be confirmed", "run without --stage first")

        def choose() -> Finalists:
            self._registry.refuse_seen(mine)
            seeds = fresh_seeds(self._study, self._registry.seen(mine))
            return choose_finalists(self._study, screened, seeds)

        chosen = Finalists.keep(screened.notes, self._paths.folder / "confirm.json", choose)
        self._registry.add(mine, chosen.seeds)
        return chosen
