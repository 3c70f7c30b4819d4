"""The presets have the published models' numbers of parameters, counted from layouts: nothing is allocated.

Expected are the numbers that the public code makes of its own models for 1,000 classes and latents of 4 x 32 x 32: DiT
(github.com/facebookresearch/DiT, ed81ce2) and SiT (github.com/willisma/SiT, 947f95b) on torch's meta device, MeanFlow
(github.com/Gsunshine/meanflow, d70cb55) by `jax.eval_shape`. The torch code counts its fixed positions as parameters,
one number a patch and unit of width; the JAX code and ours compute them.
"""

from __future__ import annotations

import math

import pytest
import torch

from trainer.backbones.sit import SiT
from trainer.recipe import DiffusionRecipe, InterpolantRecipe, MeanFlowRecipe, ObjectiveRecipe, SiTRecipe

DIT = DiffusionRecipe(kind="diffusion")
DIT_FIXED = DiffusionRecipe(kind="diffusion", learned_variance=False)
SIT, MEAN_FLOW = InterpolantRecipe(), MeanFlowRecipe(kind="mean_flow")
LATENT, CLASSES = (4, 32, 32), 1000


def sizes(model: SiTRecipe, objective: ObjectiveRecipe) -> tuple[int, int]:
    """Return the numbers of trained parameters and of fixed positions."""
    sit = SiT(model, LATENT, CLASSES, 1000.0, torch.device("cpu"), objective.demands)
    return sum(math.prod(slot.shape) for slot in sit.layout.values()), sit.positions_ND.numel()


@pytest.mark.parametrize(
    ("preset", "trained", "published"),
    [
        ("S", 32_865_056, 32_963_360),
        ("B", 130_315_808, 130_512_416),
        ("L", 457_840_672, 458_102_816),
        ("XL", 674_834_720, 675_129_632),
    ],
)
def test_a_dit_with_a_learned_variance_has_the_published_size(preset: str, trained: int, published: int) -> None:
    """DiT's table 1 rounds them: 33, 130, 458 and 675 million. A published SiT has the same (learn_sigma)."""
    found, positions = sizes(SiTRecipe(preset=preset), DIT)
    assert (found, found + positions) == (trained, published)


@pytest.mark.parametrize(
    ("preset", "trained"), [("S", 32_858_896), ("B", 130_303_504), ("L", 457_824_272), ("XL", 674_816_272)]
)
@pytest.mark.parametrize("objective", [SIT, DIT_FIXED], ids=["SiT", "DiT"])
def test_without_a_variance_it_lacks_the_last_layers_second_half(
    preset: str, trained: int, objective: ObjectiveRecipe
) -> None:
    assert sizes(SiTRecipe(preset=preset), objective)[0] == trained


@pytest.mark.parametrize(
    ("preset", "patch", "trained"),
    [
        ("B", 4, 131_165_248),
        ("B", 2, 131_091_472),
        ("M", 2, 308_019_216),
        ("L", 2, 459_137_040),
        ("XL", 2, 676_440_592),
    ],
)
def test_a_mean_flow_has_the_published_size(preset: str, patch: int, trained: int) -> None:
    """Its paper rounds them, B/4 to 131, L/2 to 459 and XL/2 to 676 million."""
    assert sizes(SiTRecipe(preset=preset, patch=patch), MEAN_FLOW)[0] == trained


def test_the_compact_preset_keeps_its_size() -> None:
    """It is ours, so no publication says it: frozen, on digits' images and classes."""
    sit = SiT(SiTRecipe(), (1, 8, 8), 10, 1000.0, torch.device("cpu"), SIT.demands)
    assert sum(math.prod(slot.shape) for slot in sit.layout.values()) == 189_124
