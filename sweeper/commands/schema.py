"""`sweeper schema`: the JSON schemas of what people write and programs read."""

from __future__ import annotations

from typing import Any, Literal, assert_never

Described = Literal["study", "guide", "atlas"]


def schema_of(what: Described) -> dict[str, Any]:
    """Return the JSON schema of a study, of guide.json or of atlas.json."""
    match what:
        case "study":
            from sweeper.study.yaml_files import study_schema

            return study_schema()
        case "guide":
            from sweeper.render.guide_json_schema import guide_schema

            return guide_schema()
        case "atlas":
            from sweeper.render.atlas import atlas_schema

            return atlas_schema()
        case _:
            assert_never(what)
