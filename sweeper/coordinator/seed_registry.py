"""Which seeds each study of a workspace has used: on one seed, studies of one recipe give the same figures exactly."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from filelock import FileLock

from sweeper.errors import StudyError
from sweeper.study.registration import Registration
from trainer.recipe import Frozen

REMEDY = "let sweeper choose them (confirm.seeds: auto, or their number), or write seeds that no study has used"


class Look(Frozen):
    """A study, by name and id, the hash of its recipe, and seeds on which it measures something."""

    study: str
    id: str
    recipe: str
    seeds: tuple[int, ...]


class SeedRegistry:
    """A file of looks, one a line, that the studies of a workspace share."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, registration: Registration, seeds: Iterable[int]) -> None:
        """Note that a study looks at these seeds from now on; raises OSError where that cannot be written."""
        study = registration.study
        with FileLock(self._path.with_suffix(".lock")):
            mine = [look for look in self._looks() if (look.id, look.recipe) == (registration.id, study.recipe.hash)]
            new = {*seeds} - {seed for look in mine for seed in look.seeds}
            if new:
                look = Look(study=study.name, id=registration.id, recipe=study.recipe.hash, seeds=tuple(sorted(new)))
                with self._path.open("a", encoding="utf-8") as file:
                    file.write(look.model_dump_json() + "\n")

    def seen(self, registration: Registration) -> dict[int, str]:
        """Return the seeds that other studies of the same recipe have looked at, each with the name of one."""
        recipe = registration.study.recipe.hash
        others = [look for look in self._looks() if look.id != registration.id and look.recipe == recipe]
        return {seed: look.study for look in others for seed in look.seeds}

    def refuse_seen(self, registration: Registration) -> None:
        """Raise StudyError if seeds that the study writes as fresh are not: another study has looked at them."""
        confirm = registration.study.confirm
        written = confirm.seeds if confirm and isinstance(confirm.seeds, tuple) else ()
        seen = self.seen(registration)
        if stale := [seed for seed in written if seed in seen]:
            names = ", ".join(dict.fromkeys(seen[seed] for seed in stale))
            listed = ", ".join(map(str, stale))
            raise StudyError(f"confirm.seeds: not fresh: {names} already used them with this recipe: {listed}", REMEDY)

    def _looks(self) -> list[Look]:
        looks = []
        for line in self._path.read_bytes().splitlines() if self._path.is_file() else ():
            try:
                looks.append(Look.model_validate_json(line))
            except ValueError:
                continue  # cut short by a crash: this costs a warning at worst, never a figure
        return looks
