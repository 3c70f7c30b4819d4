from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.simulation import surface
from tests.simulation.surface import WORLDS, finished_under


@pytest.mark.parametrize("name", WORLDS)
def test_every_world_of_the_surface_can_be_drawn_and_measured(name: str) -> None:
    study = surface.draw(name, np.random.default_rng(0))
    assert len(study.effect_C) == len(study.place_CK) == len(study.screen.y_CS)
    found = surface.simulate(name, 1, 0)
    assert found["studies"] == 1
    assert len(surface.row(name, found)) == len(surface.COLUMNS)


def test_a_world_that_is_finished_is_kept_and_one_of_another_seed_is_not(tmp_path: Path) -> None:
    file = tmp_path / "work.jsonl"
    finished_under(file, 2, 0).add("null normal", Counter({"studies": 2}))
    assert finished_under(file, 2, 0).load() == {"null normal": Counter({"studies": 2})}
    assert not finished_under(file, 2, 1).load()
