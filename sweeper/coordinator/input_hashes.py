"""What a study trains on and is scored by, held from its first trial on: figures of other data cannot be compared."""

from __future__ import annotations

import json

from sweeper.coordinator.finalists import Notes
from sweeper.errors import DataError
from sweeper.records import Facts
from trainer.recipe import Frozen, ModuleRecipe, Recipe
from trainer.recipe.identity import identity

NOTE = "materials"


class InputHashes(Frozen):
    """The hashes of a data set and of the extractor that looks at it, and of whatever else a recipe reads.

    Weights to start from, a user's model, a file of reference statistics, the encoder that a block is aligned with;
    empty where there is none.
    """

    data_hash: str
    extractor_sha256: str
    init_sha256: str = ""
    source_sha256: str = ""
    reference_sha256: str = ""
    encoder_sha256: str = ""


class InputHashesByRecipe(Frozen):
    """The materials of every kind of recipe a study trains, by the data and the extractor it names."""

    by_recipe: dict[str, InputHashes]


def hold(notes: Notes, recipe: Recipe, facts: Facts) -> None:
    """Compare what a worker read with what the study began with, or note it for a recipe that is the first to name it.

    Raises DataError where they differ.
    """
    noted = notes.read(NOTE)
    known = InputHashesByRecipe.model_validate_json(noted) if noted else InputHashesByRecipe(by_recipe={})
    init = [recipe.model.init] if recipe.model.init else []
    code = [recipe.model.factory] if isinstance(recipe.model, ModuleRecipe) else []
    reference = [recipe.eval.reference] if recipe.eval.reference else []
    repa = recipe.train.repa
    aligned = [["repa", repa.encoder, repa.weights]] if repa else []
    read = [*init, *code, *reference, *aligned]
    name = json.dumps([identity(recipe.data), recipe.eval.extractor, *read], sort_keys=True)
    before = known.by_recipe.get(name)
    now = InputHashes(**{name: getattr(facts, name) for name in InputHashes.model_fields})
    if before is None:
        notes.write(NOTE, InputHashesByRecipe(by_recipe={**known.by_recipe, name: now}).model_dump_json())
        return
    if now.data_hash != before.data_hash:
        raise DataError(
            f"{recipe.data.path or recipe.data.name} is not what this study began with: "
            f"its hash is {now.data_hash[:16]}, it was {before.data_hash[:16]}",
            "bring the data back; a study of the new data needs a name of its own",
        )
    if now.extractor_sha256 != before.extractor_sha256:
        raise DataError(
            f"the extractor {facts.extractor} is not the one this study is scored by: its hash is "
            f"{now.extractor_sha256[:16]}, it was {before.extractor_sha256[:16]}",
            "bring its weights back (eval.weights or, for 'domain', the cache folder of the first workspace)",
        )
    if now.reference_sha256 != before.reference_sha256:
        raise DataError(
            f"{recipe.eval.reference} is not what this study is scored against: its hash is "
            f"{now.reference_sha256[:16]}, it was {before.reference_sha256[:16]}",
            "bring the file back; a study with another reference needs a name of its own",
        )
    if now.init_sha256 != before.init_sha256:
        raise DataError(
            f"{recipe.model.init} is not the file this study starts from: its hash is {now.init_sha256[:16]}, "
            f"it was {before.init_sha256[:16]}",
            "bring the file back; a study of another start needs a name of its own",
        )
    if now.source_sha256 != before.source_sha256 and isinstance(recipe.model, ModuleRecipe):
        raise DataError(
            f"the code of {recipe.model.factory} is not what this study began with: its hash is "
            f"{now.source_sha256[:16]}, it was {before.source_sha256[:16]}",
            "bring the code back; a study of another model needs a name of its own",
        )
    if now.encoder_sha256 != before.encoder_sha256:
        raise DataError(
            f"the encoder of train.repa is not the one this study aligned with: its hash is "
            f"{now.encoder_sha256[:16]}, it was {before.encoder_sha256[:16]}",
            "bring its weights back (train.repa.weights or, for 'local', the cache folder of the first workspace)",
        )
