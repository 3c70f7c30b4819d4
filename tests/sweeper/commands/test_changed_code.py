"""A study whose own model's code changed, and one whose code is as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeper.calibration.preflight import check_fit
from sweeper.commands.changed_code import refuse_changed_code
from sweeper.coordinator.input_hashes import InputHashes, hold
from sweeper.errors import DataError
from sweeper.study import Study
from sweeper.workspace import Workspace
from tests.sweeper.coordinator.coordinators import FACTS, study


class Noted:
    """Stands for the notes of a search store."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    def read(self, name: str) -> str | None:
        return self.texts.get(name)

    def write(self, name: str, text: str) -> None:
        self.texts[name] = text


def own_model() -> Study:
    recipe = study().recipe.model_dump(exclude_none=True)
    recipe["model"] = {"kind": "module", "factory": "tests.trainer.backbones.own_nets:mlp", "taps": ["tokens"]}
    recipe["eval"]["compile"] = "off"
    return study(recipe=recipe, space={"block": [0], "lambda": [0.1]})


@pytest.fixture
def notes(monkeypatch: pytest.MonkeyPatch) -> Noted:
    noted = Noted()
    monkeypatch.setattr("sweeper.search.read_note", lambda _url, _study, _stage, name: noted.read(name))
    return noted


def test_code_that_changed_is_refused_although_every_trial_is_decided(notes: Noted, tmp_path: Path) -> None:
    of, place = own_model(), Workspace(tmp_path)
    refuse_changed_code(of, place)  # nothing is noted yet
    now = check_fit(of).model.source_sha256
    hold(notes, of.recipe, FACTS.model_copy(update={"source_sha256": now}))
    refuse_changed_code(of, place)
    notes.texts.clear()
    hold(notes, of.recipe, FACTS.model_copy(update={"source_sha256": "0" * 64}))
    with pytest.raises(DataError, match=f"own_nets:mlp is not what this study was run with.* {now[:16]}, it was 0000"):
        refuse_changed_code(of, place)


def test_a_model_of_ours_has_no_code_to_look_at(notes: Noted, tmp_path: Path) -> None:
    assert InputHashes(data_hash="d", extractor_sha256="e").source_sha256 == ""
    hold(notes, study().recipe, FACTS)
    refuse_changed_code(study(), Workspace(tmp_path))
