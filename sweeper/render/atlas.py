"""An atlas as files: markdown, HTML that loads nothing, and JSON with every number."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from sweeper.guide.atlas.heuristics import LEAST_SCOPES
from sweeper.guide.atlas.schema import ATLAS_FILE, Atlas, KnobTable, LambdaUnit
from sweeper.guide.atlas.wording import check_words, likeness
from sweeper.render.atlas_tables import heuristics_table, knob_table, rejected_table, scopes_table, unused_table
from sweeper.render.environment import markdown_environment, tidied
from sweeper.render.guide_files import OwnFiles
from sweeper.render.html import render_html
from sweeper.render.tables.table import Table
from sweeper.study.knobs import BLOCK, LAMBDA, TAU, VARIANT
from sweeper.text.numbers import counted
from trainer.recipe import METRICS

MARKDOWN, HTML = "atlas.md", "atlas.html"
TITLES = {BLOCK.name: "Block", LAMBDA.name: "Lambda", TAU.name: "Tau", VARIANT.name: "Variant"}
LAMBDA_WORDS: Mapping[LambdaUnit, str] = {
    "gradient ratio": (
        "Lambda is its *weight*: the norm of the weighted loss's gradient over that of the training loss's, which is "
        "lambda times what it is per lambda where the study has its smallest, whose network is next to the baseline's."
    ),
    "loss ratio": (
        "Lambda is its *weight*: lambda times the span of the loss (0 to its floor, log B for l2), over the training "
        "loss of the baseline: the paper's 0.5 with a batch of 32 and a training loss of 0.4 weighs 0.5 x 3.5 / 0.4 = "
        "4.3. The ratio of the two losses' gradient norms would say more; these records lack it."
    ),
}


class _Knob(NamedTuple):
    title: str
    words: str
    table: Table
    notes: str


def write_atlas(atlas: Atlas, folder: Path) -> Path:
    """Write atlas.md, atlas.html and atlas.json; a file that somebody changed is kept under another name."""
    folder.mkdir(parents=True, exist_ok=True)
    files, text = OwnFiles(folder), render_atlas(atlas)
    files.write(ATLAS_FILE, atlas.model_dump_json(indent=1) + "\n")
    files.write(HTML, render_html(text, folder, "What travels from study to study"))
    files.write(MARKDOWN, text)
    return folder / MARKDOWN


def render_atlas(atlas: Atlas) -> str:
    """Write an atlas as markdown."""
    environment = markdown_environment()
    stages = {row.best.stage for row in atlas.scopes if row.best}
    text = environment.get_template("atlas.md.j2").render(
        atlas=atlas,
        points=atlas.points,
        tables={
            "heuristics": heuristics_table(atlas),
            "scopes": scopes_table(atlas),
            "rejected": rejected_table(atlas),
            "unused": unused_table(atlas),
        },
        left=counted(atlas.untested, "further rule" if atlas.heuristics or atlas.rejected else "rule"),
        knobs=[_knob(knob, atlas) for knob in atlas.knobs],
        checks=check_words(atlas.margin),
        least=LEAST_SCOPES,
        counted_in="data sets" if len(atlas.data_sets) >= LEAST_SCOPES else "scopes",
        fresh="confirm" in stages,
        screened="screen" in stages,
        lambda_unit=LAMBDA_WORDS[atlas.lambda_unit],
        metric=METRICS[atlas.metric].words if atlas.metric in METRICS else atlas.metric,
    )
    return tidied(text)


def atlas_schema() -> dict[str, Any]:
    """Return the JSON schema of atlas.json."""
    schema = Atlas.model_json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "atlas.json", **schema}


def _knob(knob: KnobTable, atlas: Atlas) -> _Knob:
    unit = f" Levels: {knob.unit}." if knob.unit else ""
    words = f"Mean change against lambda 0, in per cent ± its standard error, by scope.{unit}"
    return _Knob(TITLES.get(knob.knob, knob.knob), words, knob_table(knob, atlas), _notes(knob))


def _notes(knob: KnobTable) -> str:
    many = [level for level in knob.levels if level.pooled and level.pooled.k >= LEAST_SCOPES]
    alike = "; ".join(f"{level.level}: {likeness(level.pooled)}" for level in many if level.pooled)
    found = [f"Do scopes differ? {alike}." if alike else "No level has scopes enough to tell whether they differ."]
    if any(effect.stopped for level in knob.levels for effect in level.scopes):
        found.append("† some of its settings were stopped early and are scored at their last rung.")
    if any(level.diverged for level in knob.levels):
        found.append("✗ some of its settings diverged and have no score: the level is worse than it looks.")
    return " ".join(found)
