"""For any file: a study or a told mistake, never another exception; and what is written is read back."""

from __future__ import annotations

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sweeper.errors import StudyError
from sweeper.study import Study
from sweeper.study.yaml_files import read_study, templates, to_yaml
from trainer.recipe import PRESETS

KEEP = [HealthCheck.function_scoped_fixture]
TEXT = templates()["folder"].replace("<folder of images>", "images")
PIECES = [
    "[",
    "]",
    "{",
    "}",
    ": ",
    "- ",
    "\n",
    "  ",
    "&a ",
    "*a",
    "<<: ",
    "!!int ",
    "'",
    '"',
    "~",
    "\t",
    "\x00",
    ".nan",
]

options = st.builds(
    lambda field, value: f"{field}={value}",
    st.sampled_from(
        ["space", "space.tau", "space.block.0", "controls.0.set", "recipe.train.lr", "cells", "screen.seeds"]
    ),
    st.sampled_from(
        ["", "1", "-1", "true", "[]", "{}", "[{}]", "[[1]]", "{low: 1}", "{a: {b: 1}}", "all", ".inf", "1e999"]
    ),
)


@settings(max_examples=150, deadline=None, suppress_health_check=KEEP)
@given(
    edits=st.lists(
        st.tuples(st.integers(0, len(TEXT)), st.integers(0, 30), st.sampled_from(PIECES) | st.text(max_size=3)),
        max_size=3,
    ),
    overrides=st.lists(options, max_size=2),
)
def test_any_file_is_a_study_or_a_told_mistake(
    tmp_path: Path, edits: list[tuple[int, int, str]], overrides: list[str]
) -> None:
    text = TEXT
    for at, removed, added in edits:
        text = text[:at] + added + text[at + removed :]
    path = tmp_path / "s.yaml"
    path.write_bytes(text.encode("utf-8", "replace"))
    try:
        outcome: Study | StudyError = read_study(path, overrides)
    except StudyError as error:
        outcome = error
    assert isinstance(outcome, Study) or (outcome.message and outcome.remedy)


@settings(max_examples=100, deadline=None, suppress_health_check=KEEP)
@given(
    preset=st.sampled_from(sorted(PRESETS)),
    model=st.fixed_dictionaries({}, optional={"heads": st.sampled_from([2, 3, 4]), "patch": st.integers(1, 4)}),
    lr=st.floats(1e-12, 1.0),
    lams=st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=3),
    block=st.sampled_from([0, 0.0, 1.0, "all", (0, 1.0)]),
    words=st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "Zs"]), min_size=1, max_size=40),
    confirm=st.none() | st.just({}) | st.just({"seeds": (5, 6)}),
)
def test_a_study_written_out_is_read_back_the_same(
    tmp_path: Path,
    preset: str,
    model: dict[str, int],
    lr: float,
    lams: list[float],
    block: object,
    words: str,
    confirm: dict[str, object] | None,
) -> None:
    width = {"width": 240} if model.get("heads") else {}
    study = Study.model_validate(
        {
            "name": "1.5",
            "question": words,
            "recipe": {"model": {"preset": preset, **model, **width}, "train": {"lr": lr}},
            "space": {"block": [block], "lambda": lams},
            "confirm": confirm,
        }
    )
    path = tmp_path / "s.yaml"
    path.write_text(to_yaml(study), encoding="utf-8")
    again = read_study(path)
    assert again == study
    assert type(again.space.block[0]) is type(study.space.block[0])
