"""Studies as YAML files: read with every mistake reported at its place, described, and written."""

from __future__ import annotations

import io
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from sweeper.errors import StudyError
from sweeper.study.mistakes import study_error
from sweeper.study.placeholders import placeholders, refuse_placeholders
from sweeper.study.source import Source
from sweeper.study.study import Study
from sweeper.text.passwords import has_password
from trainer.recipe import BackboneRecipe, SiTRecipe


def read_study(path: Path, overrides: Sequence[str] = ()) -> Study:
    """Read a study file, with `overrides` such as 'recipe.train.steps=100' applied in order.

    Raises StudyError, whose message has a line 'file:line:column: what' (or '--set a.b=c: what') for every mistake.

        >>> study = read_study(Path("studies/smoke.yaml"), ["recipe.train.steps=100"])
        >>> study.name, study.recipe.train.steps, study.space.lam
        ('smoke', 100, (0.05,))
    """
    source = Source.read(path)
    for option in overrides:
        source.override(option)
    empty = placeholders(source)
    try:
        # Strict: a study says what it means, so true is not 1 and '5' is not 5.
        study = Study.model_validate(source.document.value, strict=True)
    except ValidationError as error:
        if all(tuple(one["loc"]) in empty for one in error.errors()):
            refuse_placeholders(source, empty)
        raise study_error(error, source) from None
    refuse_placeholders(source, empty)
    refuse_password(study, str(path))
    return study


def refuse_password(study: Study, name: str) -> None:
    """Raise StudyError where a study, called `name`, contains a URL with a password."""
    if has_password(study.model_dump_json(by_alias=True)):
        raise StudyError(f"{name} contains a URL with a password, and a study is published", "remove the password")


def templates() -> dict[str, str]:
    """Return the studies `sweeper init` offers, by name, as commented YAML."""
    folder = files("sweeper") / "templates"
    found = {item.name.removesuffix(".yaml"): item for item in folder.iterdir() if item.name.endswith(".yaml")}
    return {name: found[name].read_text(encoding="utf-8") for name in sorted(found)}


def study_schema() -> dict[str, Any]:
    """Return the JSON schema of a study file, with the names that YAML uses."""
    schema = Study.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def to_yaml(study: Study) -> str:
    """Write a study as YAML that `read_study` reads back as the same study; defaults are left out."""
    tree = study.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    model = _beyond_preset(study.recipe.model)
    if model:
        tree.setdefault("recipe", {})["model"] = model
    else:
        tree.get("recipe", {}).pop("model", None)
    if study.space.tau_units != "absolute":  # what a cell leaves out, a reader would take from the space
        for cell, extra_cell in zip(tree.get("cells", []), study.cells, strict=True):
            cell.setdefault("tau_units", extra_cell.tau_units)
    order = [name for name in Study.model_fields if tree.get(name) not in (None, [])]
    yaml = YAML()
    yaml.width = 120
    yaml.indent(mapping=2, sequence=4, offset=2)
    text = io.StringIO()
    yaml.dump(_styled({name: tree[name] for name in order}), text)
    return text.getvalue()


def _beyond_preset(model: BackboneRecipe) -> dict[str, object]:
    """Return the preset and what differs from it: a field left out is filled from the preset, not the default."""
    if not isinstance(model, SiTRecipe):
        return {"kind": model.kind, **model.model_dump(mode="json", exclude_defaults=True)}
    filled = SiTRecipe(preset=model.preset).model_dump()
    own = {name: value for name, value in model.model_dump().items() if value != filled[name]}
    named = {"preset": model.preset} if model.preset != "compact" else {}
    return {**named, **own}


def _styled(value: object) -> object:
    """Give lists of plain values one line, and everything else a block."""
    if isinstance(value, dict):
        return CommentedMap((name, _styled(item)) for name, item in value.items())
    if isinstance(value, list):
        items = CommentedSeq(_styled(item) for item in value)
        if not any(isinstance(item, dict) for item in value):
            items.fa.set_flow_style()
        return items
    return value
