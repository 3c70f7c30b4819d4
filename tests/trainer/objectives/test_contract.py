"""How every objective must train and be sampled, in cohorts: `OBJECTIVES` lists them with a solver each."""

from __future__ import annotations

from typing import get_args

import pytest
import torch

from trainer.backbones.build import backbone_of
from trainer.evaluation.evaluator import Evaluator
from trainer.objectives.build import objective_of
from trainer.recipe import Dispersion, Lane, Recipe
from trainer.recipe.backbone import BackboneKind
from trainer.recipe.evaluation import Solver
from trainer.recipe.objective import ObjectiveKind
from trainer.training.cohort import Cohort
from trainer.training.steppers import GraphStepper

CPU = torch.device("cpu")
OBJECTIVES = {
    "velocity": ({}, "euler"),
    "noise": ({"predicts": "noise"}, "heun"),
    "score": ({"predicts": "score", "path": "gvp", "times": "logit_normal"}, "euler_maruyama"),
    "diffusion": ({"kind": "diffusion"}, "ancestral"),
    "diffusion with a fixed variance": ({"kind": "diffusion", "learned_variance": False}, "ddim"),
    "diffusion weighted by min-SNR": ({"kind": "diffusion", "schedule": "cosine", "min_snr": 5.0}, "ddim"),
    "mean flow": ({"kind": "mean_flow"}, "euler"),
    "EDM": ({"kind": "edm"}, "heun"),
    "EDM by Euler": ({"kind": "edm", "p_mean": -0.4, "p_std": 1.0, "sigma_data": 0.8}, "euler"),
    "mean flow with guidance": ({"kind": "mean_flow", "omega": 1.2, "kappa": 0.3}, "euler"),
}
MODELS = {
    "sit": {"width": 16, "depth": 2, "heads": 2},
    "unet": {"kind": "unet", "width": 8, "levels": 2},
    "uvit": {"kind": "uvit", "width": 16, "depth": 3, "heads": 2},
}
LANES = (
    Lane(Dispersion(), 0),
    Lane(Dispersion(blocks=(1,), lam=0.25, tau=0.5), 0),
    Lane(Dispersion(blocks=(0, 1), lam=0.1, tau=1.0, variant="hinge"), 1),
)


def recipe_of(name: str, model: str = "sit", **train: object) -> Recipe:
    objective, solver = OBJECTIVES[name]
    nfe = 5 if objective.get("kind") == "edm" else 4  # Heun's last evaluation stands alone there
    return Recipe.model_validate(
        {
            "model": MODELS[model],
            "objective": objective,
            "train": {"steps": 60, "batch": 8, "warmup": 5, "lr": 4e-3, "time_scale": 30, **train},
            "eval": {"samples": 60, "batch": 30, "nfe": nfe, "probe": 16, "solver": solver},
        }
    )


@pytest.fixture
def build(digits, extractor_cache):
    def cohort(recipe: Recipe, lanes=LANES, data=digits) -> Cohort:
        return Cohort(recipe, lanes, data, CPU, Evaluator(recipe.eval, data, extractor_cache, CPU))

    return cohort


def weights(cohort: Cohort) -> torch.Tensor:
    return cohort.state_dict()["weights"]


@pytest.fixture(params=OBJECTIVES)
def name(request) -> str:
    return request.param


def test_every_kind_of_objective_and_every_solver_is_tried_on_every_backbone_of_ours():
    assert {recipe_of("velocity", model).model.kind for model in MODELS} == {*get_args(BackboneKind)} - {"module"}
    assert {recipe_of(each).objective.kind for each in OBJECTIVES} == {*get_args(ObjectiveKind)}
    assert {solver for _, solver in OBJECTIVES.values()} == {*get_args(Solver)}


def test_it_learns_and_a_resumed_run_is_the_same_bit_for_bit(name, build):
    recipe = recipe_of(name)
    whole, first, second = (build(recipe) for _ in range(3))
    first.advance(2)
    begun = [one.metrics["train_loss"] for one in first.measure()]
    whole.advance(60)
    first.advance(25)
    second.load_state_dict({key: part.clone() for key, part in first.state_dict().items()})
    second.advance(60)
    for key, tensor in whole.state_dict().items():
        assert torch.equal(tensor.nan_to_num(), second.state_dict()[key].nan_to_num()), key
    ended = whole.measure()
    assert not any(one.diverged for one in ended)
    assert all(one.metrics["train_loss"] < then for one, then in zip(ended, begun, strict=True))


@pytest.mark.parametrize("model", MODELS)
def test_every_lane_equals_its_solo_run_to_the_last_digits_digits_in_float64(name, model, build, digits_in_float64):
    recipe = recipe_of(name, model)
    together = build(recipe, data=digits_in_float64)
    together.advance(8)
    for lane, one in enumerate(LANES):
        alone = build(recipe, [one], digits_in_float64)
        alone.advance(8)
        torch.testing.assert_close(weights(together)[lane], weights(alone)[0], rtol=1e-8, atol=1e-10)


def test_samples_of_a_lane_do_not_depend_on_who_is_drawn_with_it(name, build):
    recipe = recipe_of(name)
    together = build(recipe)
    together.advance(3)
    for lane in (0, 2):
        whole = together.draw(lane, 60)
        assert torch.equal(together.draw(lane, 60), whole)
        torch.testing.assert_close(together.draw(lane, 17), whole[:17], rtol=1e-4, atol=1e-4)
    together.keep([2])
    torch.testing.assert_close(together.draw(2, 60), whole, rtol=1e-4, atol=1e-4)


def test_as_a_gpu_takes_its_steps_it_learns_too(name, build, monkeypatch):
    monkeypatch.setattr("trainer.training.cohort.stepper", GraphStepper)
    cohort = build(recipe_of(name))
    cohort.advance(40)
    found = cohort.measure()
    assert not any(one.diverged for one in found)
    assert cohort.state_dict()["weights"].isfinite().all()


def test_it_trains_in_bf16(name, build):
    cohort = build(recipe_of(name, precision="bf16"))
    cohort.advance(20)
    assert not any(one.diverged for one in cohort.measure())


def test_what_it_records_is_what_it_says(name):
    recipe = recipe_of(name)
    objective, backbone = objective_of(recipe), backbone_of(recipe, (1, 8, 8), 10, CPU)
    assert objective.recorded[0] == "train_loss"
    channels = 2 if "variance_loss" in objective.recorded else 1
    assert backbone.layout["final.bias"].shape == (4 * channels,)
    assert ("interval1.weight" in backbone.layout) == name.startswith("mean flow")
