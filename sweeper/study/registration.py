"""A study's registration, which its records carry in the workspace, in the search store and in MLflow."""

from __future__ import annotations

import platform
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from sweeper.errors import ConflictError
from sweeper.study.fingerprint import added, changed_fields, fingerprint
from sweeper.study.sampling import Sampling
from sweeper.study.study import Study
from trainer.recipe import VARIANTS, Frozen, Variant
from trainer.recipe.idle_fields import KEPT

NOTE = "registration"  # its name in the search store
OTHER_NAME = "give this study another name, or use stores of its own (--store, --tracking)"


class Registration(Frozen):
    """A study's id, made once; the study as it was last run; and who began it where.

    `id` is empty for a study begun before ids were kept. `added` says what was added after it had begun. `formulas` are
    those that variants of the loss were computed by when it began; one that is missing was by its first. `sampling`
    is how its samples are drawn; not chosen yet, or before there was a choice, it is None.
    """

    id: str
    study: Study
    host: str
    folder: str
    begun: str
    added: tuple[str, ...] = ()
    formulas: dict[Variant, int] = Field(default_factory=dict)
    sampling: Sampling | None = None

    @model_validator(mode="before")
    @classmethod
    def _compiled_has_moved(cls, given: object) -> object:
        """Read the older field `compiled`, from when samples were always in float32."""
        if not isinstance(given, Mapping) or "compiled" not in given:
            return given
        rest = {name: value for name, value in given.items() if name != "compiled"}
        meant: dict[object, Sampling] = {True: "compiled fp32", False: "eager fp32"}
        return {**rest, "sampling": meant.get(given["compiled"])}

    @classmethod
    def of(cls, study: Study, folder: Path) -> Self:
        """Register a study that begins now in the workspace `folder`."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        where = {"host": platform.node(), "folder": str(folder), "begun": now}
        formulas = {name: facts.formula for name, facts in VARIANTS.items()}
        return cls(id=uuid.uuid4().hex, study=study, **where, formulas=formulas)

    @classmethod
    def parse(cls, text: str, folder: Path) -> Self:
        """Read what was kept, also by a version that kept the study alone; raises ValueError for anything else."""
        try:
            return cls.model_validate_json(text, context=KEPT)
        except ValueError:
            return cls.of(Study.model_validate_json(text, context=KEPT), folder).model_copy(
                update={"id": "", "formulas": {}}
            )

    @property
    def owner(self) -> str:
        """Describe whose records these are."""
        return (
            f"study {self.study.name!r} ({fingerprint(self.study)}), begun {self.begun} on {self.host} in {self.folder}"
        )

    def continued(self, study: Study, confirming: bool) -> Self:
        """Return the registration of `study` as it goes on; raise ConflictError where it changed what it may not.

        `confirming`: the confirm stage has begun.
        """
        before = self._with_counted_seeds(study)
        if changed := changed_fields(before, study, confirming):
            listed = "\n".join(f"  {change}" for change in changed)
            raise ConflictError(
                f"study {study.name!r} was started with other settings:\n{listed}\n  as {self.owner}", OTHER_NAME
            )
        self._refuse_other_formulas(study)
        more = (*self.added, *added(before, study))
        return self.model_copy(update={"study": study, "added": more, "sampling": self.sampling or "eager fp32"})

    def _refuse_other_formulas(self, study: Study) -> None:
        cells = (*study.cells, *(arm.setting for arm in study.controls if arm.setting))
        for variant in dict.fromkeys((*study.space.variant, *(cell.variant for cell in cells))):
            if self.formulas.get(variant, 1) != VARIANTS[variant].formula:
                raise ConflictError(
                    f"study {study.name!r} was started when variant {variant!r} was computed by another formula",
                    "finish it with the version it was started with, or give this study another name",
                )

    def refuse(self, other: Registration) -> None:
        """Raise ConflictError if `other`, found in a store that this study is to use, is of another study."""
        if other.id != self.id:
            raise ConflictError(f"a store holds the records of another study of this name: {other.owner}", OTHER_NAME)

    def _with_counted_seeds(self, study: Study) -> Study:
        # Until seeds were derived, `seeds: 3` was kept as 100, 101, 102.
        before, after = self.study.confirm, study.confirm
        if before and after and isinstance(after.seeds, int) and before.seeds == tuple(range(100, 100 + after.seeds)):
            counted = before.model_copy(update={"seeds": after.seeds})
            return self.study.model_copy(update={"confirm": counted})
        return self.study
