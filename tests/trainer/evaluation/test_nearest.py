from __future__ import annotations

import pytest
import torch

from trainer.data.images import Images
from trainer.evaluation import nearest
from trainer.evaluation.nearest import nearest_distances


@pytest.mark.parametrize("numbers", [1, 126, 16_000_000])
def test_distances_are_those_to_the_nearest_of_all_images(numbers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearest, "_NUMBERS", numbers)
    random = torch.Generator().manual_seed(0)
    queries, images = torch.randn(11, 2, 3, 3, generator=random), torch.randn(40, 2, 3, 3, generator=random)
    expected = (queries[:, None] - images[None]).flatten(2).norm(dim=2).min(1).values
    torch.testing.assert_close(nearest_distances(queries, Images(images, None)), expected)


def test_a_copy_lies_at_distance_zero_exactly() -> None:
    images = torch.randn(300, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    assert nearest_distances(images[100:140], Images(images, None)).eq(0).all()
