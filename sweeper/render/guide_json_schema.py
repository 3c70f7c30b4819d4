"""The published JSON schema of guide.json."""

from __future__ import annotations

from typing import Any

from sweeper.guide.schema.guide import Guide


def guide_schema() -> dict[str, Any]:
    """Return the JSON schema of guide.json; the models of `sweeper.guide.schema` describe what it holds."""
    schema = Guide.model_json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "guide.json", **schema}
