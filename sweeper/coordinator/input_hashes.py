"""Hashes of a study's data and extractor, fixed by its first trial: figures of other data cannot be compared."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import NamedTuple

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
    """The input hashes of every kind of recipe a study trains, by the data and the extractor it names."""

    by_recipe: dict[str, InputHashes]


class Input(NamedTuple):
    """One input: the field of its hash, and the parts of the error message for a hash that changed."""

    field: str
    what: str
    was: str
    remedy: str


def hold(notes: Notes, recipe: Recipe, facts: Facts) -> None:
    """Compare the hashes of a worker's inputs with those the study began with; note them if there are none yet.

    Raises DataError where they differ.
    """
    noted = notes.read(NOTE)
    known = InputHashesByRecipe.model_validate_json(noted) if noted else InputHashesByRecipe(by_recipe={})
    name, before = _name(recipe), known.by_recipe.get(_name(recipe))
    now = InputHashes(**{field: getattr(facts, field) for field in InputHashes.model_fields})
    if before is None:
        notes.write(NOTE, InputHashesByRecipe(by_recipe={**known.by_recipe, name: now}).model_dump_json())
        return
    for input_ in _inputs(recipe, facts):
        is_now, was = getattr(now, input_.field), getattr(before, input_.field)
        if is_now != was:
            raise DataError(
                f"{input_.what} is not {input_.was}: its hash is {is_now[:16]}, it was {was[:16]}", input_.remedy
            )


def noted_source(read: Callable[[str], str | None], recipe: Recipe) -> str:
    """Return the hash of the code that a study began with; empty where none is noted."""
    noted = read(NOTE)
    known = InputHashesByRecipe.model_validate_json(noted).by_recipe.get(_name(recipe)) if noted else None
    return known.source_sha256 if known else ""


def _name(recipe: Recipe) -> str:
    """Name all inputs of a recipe: trials that read the same must find the same."""
    read: list[object] = [recipe.model.init] if recipe.model.init else []
    read += [recipe.model.factory] if isinstance(recipe.model, ModuleRecipe) else []
    read += [recipe.eval.reference] if recipe.eval.reference else []
    if repa := recipe.train.repa:
        read.append(["repa", repa.encoder, repa.weights])
    return json.dumps([identity(recipe.data), recipe.eval.extractor, *read], sort_keys=True)


def _inputs(recipe: Recipe, facts: Facts) -> Iterator[Input]:
    """List a recipe's inputs in the order they are compared."""
    bring_back = "restore the file, or give the study with another {} another name"
    yield Input(
        "data_hash",
        recipe.data.path or recipe.data.name,
        "what this study began with",
        "restore the data, or give the study of the new data another name",
    )
    yield Input(
        "extractor_sha256",
        f"the extractor {facts.extractor}",
        "the one this study is scored by",
        "restore its weights (eval.weights, eval.decoder or, for 'domain', the cache folder of the first workspace)",
    )
    was_scored = "what this study is scored against"
    yield Input("reference_sha256", recipe.eval.reference or "", was_scored, bring_back.format("reference"))
    yield Input("init_sha256", recipe.model.init or "", "the file this study starts from", bring_back.format("start"))
    if isinstance(recipe.model, ModuleRecipe):
        yield Input(
            "source_sha256",
            f"the code of {recipe.model.factory}",
            "what this study began with",
            "restore the code, give the study of the other model another name, or remove what was measured by "
            "`sweeper rm`",
        )
    yield Input(
        "encoder_sha256",
        "the encoder of train.repa",
        "the one this study aligned with",
        "restore its weights (train.repa.weights or, for 'local', the cache folder of the first workspace)",
    )
