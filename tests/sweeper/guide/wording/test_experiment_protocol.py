"""The protocol names what figures depend on."""

from typing import Any

import pytest

from sweeper.guide.wording.experiment_protocol import _extractor, _sampling
from sweeper.guide.wording.recipe_items import recipe_items
from sweeper.records import Facts
from sweeper.study import Study
from trainer.recipe import DataRecipe, EvalRecipe, Recipe

NPY = {"name": "npy", "path": "x.npy", "labels": "y.npy"}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "npy from x.npy, 20 % held out"),
        ({"scale": 0.18215}, "npy from x.npy, 20 % held out, latents as (x - 0) * 0.18215"),
        (
            {"shift": 0.1159, "flip": True},
            ", latents as (x - 0.1159) * 1, a random half of every batch mirrored",
        ),
    ],
)
def test_it_says_how_latents_were_scaled_where_a_study_does(given: dict[str, Any], says: str) -> None:
    recipe = Recipe(data=DataRecipe.model_validate({**NPY, **given}))
    study = Study.model_construct(recipe=recipe)
    assert recipe_items(study, ())[0].value.endswith(says)


def test_it_says_what_decoded_latents_before_they_were_looked_at() -> None:
    evaluation = EvalRecipe(extractor="clip", weights="clip.pt", decoder="vae")
    study = Study.model_construct(recipe=Recipe(eval=evaluation))
    assert _extractor(study, []) == "clip; of pixels that vae decodes latents to"


def test_it_says_that_samples_were_drawn_by_compiled_code_where_they_were() -> None:
    facts = Facts(data_hash="d", extractor="domain", extractor_sha256="e", device="cpu")
    assert _sampling([facts]) == []
    (item,) = _sampling([facts.model_copy(update={"compiled": True})])
    assert item.value.startswith("drawn by compiled code (torch.compile), in all trials")
    assert "bfloat16" not in item.value


def test_it_says_that_samples_were_drawn_in_bfloat16_where_they_were() -> None:
    facts = Facts(data_hash="d", extractor="domain", extractor_sha256="e", device="cpu", sampled_in="bf16")
    (item,) = _sampling([facts])
    assert item.value.startswith("the network's blocks in bfloat16")
    (item,) = _sampling([facts.model_copy(update={"compiled": True})])
    assert "torch.compile" in item.value
    assert "bfloat16" in item.value
