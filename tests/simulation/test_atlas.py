from collections import Counter

import numpy as np
import pytest

from tests.simulation import atlas
from tests.simulation.atlas import WORLDS, World


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)
def test_every_world_of_the_atlas_can_be_drawn_and_measured(world: World) -> None:
    found = atlas.simulate(world, 1, 0)
    assert found["atlases"] == 1
    assert len(atlas.row(world, found)) == len(atlas.COLUMNS)


def test_a_truth_that_travels_is_found_and_one_of_some_scopes_is_not() -> None:
    by_name = {world.name: atlas.simulate(world, 6, 1) for world in WORLDS if world.scopes == 12}
    assert by_name["lambda hurts, more or less"]["some"] == 6
    assert by_name["helps everywhere"]["found"] >= 6
    for name in ("nothing does anything", "helps in half, hurts in half", "helps on one data set of three"):
        assert by_name[name]["some"] == 0


def test_a_rule_holds_here_only_where_its_direction_is_right_in_every_scope() -> None:
    effect_SC = np.tile(-atlas._at("block", "last third"), (3, 1))
    assert atlas.holds_here(("block", "prefer", "last third"), effect_SC)
    effect_SC[0] *= -1
    assert not atlas.holds_here(("block", "prefer", "last third"), effect_SC)
    assert not atlas.holds_here(("lambda", "avoid", atlas.LAMBDAS[0]), effect_SC)


def test_figures_are_shares_of_atlases_and_of_true_rules() -> None:
    world = World("some", 12, atlas._nothing, (("lambda", "use", atlas.LAMBDAS[0]),))
    found = Counter({"atlases": 4, "true": 4, "some": 1, "found": 2})
    expected = ("some", "12", "3", "1", "25.0 %", "0.0 %", "0.0 %", "0.0 %", "50.0 %")
    assert atlas.row(world, found) == expected
