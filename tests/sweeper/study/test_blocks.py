"""Blocks as written, as indices of taps, and as readers say them."""

import pytest

from sweeper.study import as_written, block_indices, block_name
from trainer.recipe import UNetRecipe, numbered

UNET = UNetRecipe(kind="unet", levels=2).taps


@pytest.mark.parametrize(
    ("written", "indices", "name"),
    [
        ("mid", (2,), "mid"),
        (0, (0,), "down.0"),
        (1.0, (4,), "up.0"),
        (("up.1", 0, "mid"), (0, 2, 3), "down.0+mid+up.1"),
        ("all", (0, 1, 2, 3, 4), "all"),
    ],
)
def test_a_tap_is_written_by_name_index_or_fraction(written, indices, name):
    assert block_indices(written, UNET) == indices
    assert block_name(indices, UNET) == name
    assert block_indices(as_written(indices, UNET), UNET) == indices


def test_a_name_the_model_lacks_is_answered_with_those_it_has():
    with pytest.raises(ValueError, match=r"taps, down\.0, down\.1, mid, up\.1, up\.0"):
        block_indices("middle", UNET)


def test_blocks_that_have_no_names_are_written_as_numbers():
    with pytest.raises(ValueError, match="must be an index from 0"):
        block_indices("mid", numbered(4))
    assert as_written((2,), numbered(4)) == 2
    assert as_written((0, 2), numbered(4)) == (0, 2)
    assert as_written((0,), numbered(1)) == 0
