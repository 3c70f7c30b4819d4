from __future__ import annotations

import json
import re

import jsonschema
import pytest

from sweeper.guide.assemble import assemble_guide
from sweeper.records import StudyRecord
from sweeper.render.guide_json_schema import guide_schema
from tests.golden import verdicts
from tests.golden.regenerate import GUIDE, RECORD, VERDICTS, written

ADVICE = "run `python -m tests.golden.regenerate` and read the diff"
NUMBER = re.compile(r"[-+]?\d[\d,]*\.?\d*(?:e[-+]\d+)?")


def test_the_recorded_study_gives_the_golden_guide() -> None:
    assert written() == GUIDE.read_text(encoding="utf-8"), ADVICE


def test_every_verdict_keeps_its_wording() -> None:
    assert verdicts.written() == VERDICTS.read_text(encoding="utf-8"), ADVICE


@pytest.mark.parametrize(
    ("name", "record"), list(verdicts.scenarios()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_scenario_is_called_what_it_is_and_fits_the_published_schema(name: str, record: StudyRecord) -> None:
    guide = assemble_guide(record)
    first = name.split(":")[0].split(",")[0]
    assert guide.verdict.kind == {"one single best": "helps", "not comparable": "no evidence"}.get(first, first)
    jsonschema.validate(json.loads(guide.model_dump_json()), guide_schema())


def test_every_figure_of_the_guide_is_in_its_json() -> None:
    """Numbers of the result tables, as they are printed, are roundings of numbers in guide.json."""
    guide = assemble_guide(StudyRecord.model_validate_json(RECORD.read_text(encoding="utf-8")))
    known = [float(text) for text in re.findall(r"-?\d+\.?\d*(?:e[-+]?\d+)?", guide.model_dump_json())]
    tables = [
        line for line in GUIDE.read_text(encoding="utf-8").split("<b>Protocol")[0].splitlines() if line.startswith("|")
    ]
    for line in tables:
        for text in NUMBER.findall(line.replace("\u2212", "-")):
            value = float(text.replace(",", ""))
            digits = len(text.partition(".")[2].partition("e")[0])
            near = 0.5 * 10**-digits * 1.001
            assert any(
                abs(scale * one - value) <= near or abs(one - value) <= max(near, abs(value) * 5e-3)
                for one in known
                for scale in (1, 100, -100, -1)
            ), f"{text} in {line}"
