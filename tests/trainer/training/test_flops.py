"""Operations by formula are those that torch counts, to the last one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.profiler import profile
from torch.utils.flop_counter import FlopCounterMode

from tests.trainer.training.cohorts import CPU, RECIPE
from trainer.backbones.build import backbone_of
from trainer.backbones.flops import PassFlops, pass_flops
from trainer.backbones.sit import SiT
from trainer.data.dataset import load
from trainer.evaluation.evaluator import Evaluator
from trainer.recipe import Dispersion, Lane, Recipe, UNetRecipe
from trainer.training.cohort import Cohort
from trainer.training.flops import dispersive_flops, sample_flops, second_view_flops, step_flops, training_flops

PRODUCTS = {"aten::bmm", "aten::baddbmm"}
DATA = load(RECIPE.data)


def recipe(**objective: object) -> Recipe:
    tree = RECIPE.model_dump(exclude={"objective"}, exclude_unset=True)
    return Recipe.model_validate({**tree, "objective": objective} if objective else tree)


def network(given: Recipe) -> SiT:
    return SiT(given.model, DATA.shape, DATA.classes, 1.0, CPU, given.objective.demands)


def cohort(given: Recipe, setting: Dispersion = Dispersion()) -> Cohort:  # noqa: B008 - immutable
    return Cohort(given, [Lane(setting, 0)], DATA, CPU, Evaluator(given.eval, DATA, Path(), CPU))


def counted(given: Recipe, setting: Dispersion) -> int:
    trained = cohort(given, setting)
    with FlopCounterMode(display=False) as counter:
        trained.advance(1)
    return counter.get_total_flops()


def by_formula(given: Recipe, setting: Dispersion) -> int:
    sit, batch = network(given), given.train.batch
    return step_flops(pass_flops(sit), given.objective, batch) + dispersive_flops(setting, sit.tap_shapes, batch)


@pytest.mark.parametrize("objective", [{}, {"kind": "diffusion"}], ids=lambda given: given.get("kind", "interpolant"))
@pytest.mark.parametrize(
    "setting",
    [
        Dispersion(),
        Dispersion(blocks=(0, 1), lam=0.1),
        Dispersion(blocks=(1,), lam=0.1, local_batch=4),
        Dispersion(blocks=(0,), lam=0.1, tau_units="relative"),
        Dispersion(blocks=(0,), lam=0.1, tau_units="median"),
        Dispersion(blocks=(0,), lam=0.1, distance="sum", features="layer_norm"),
        Dispersion(blocks=(0, 1), lam=0.1, negatives=24),
        Dispersion(blocks=(0,), lam=0.1, negatives=24, variant="hinge"),
        *(Dispersion(blocks=(0, 1), lam=0.1, variant=variant) for variant in ("cosine", "hinge", "covariance")),
    ],
    ids=str,
)
def test_a_steps_operations_are_those_torch_counts(objective: dict[str, object], setting: Dispersion) -> None:
    given = recipe(**objective)
    assert by_formula(given, setting) == counted(given, setting)


@pytest.mark.parametrize("guidance", [{}, {"omega": 2.0}, {"omega": 1.0, "kappa": 0.5}], ids=str)
def test_a_meanflow_steps_operations_are_those_of_its_jacobian_vector_product_too(guidance: dict[str, float]) -> None:
    given = recipe(kind="mean_flow", **guidance)
    trained = cohort(given)
    # FlopCounterMode dies under forward-mode derivatives (torch 2.13), so the profiler's products are added up.
    with profile(with_flops=True, record_shapes=True) as profiled:
        trained.advance(1)
    assert by_formula(given, Dispersion()) == innermost(profiled)


def innermost(profiled: profile) -> int:
    """Add up the products that consist of no others: a derivative's lie within the product it is of."""
    products = [event for event in profiled.events() if event.name in PRODUCTS]
    outer = {event.cpu_parent.id for event in products if event.cpu_parent}
    return sum(event.flops for event in products if event.id not in outer)


def test_a_training_takes_as_many_as_its_steps_and_what_is_not_counted_takes_none() -> None:
    setting = Dispersion(blocks=(1,), lam=0.1)
    given = RECIPE.override({"train.contrastive.block": 1})
    own = network(given)
    a_step = by_formula(given, setting) + second_view_flops(pass_flops(own), given)
    assert training_flops(own, given, setting) == given.train.steps * a_step
    assert cohort(RECIPE, setting).train_flops(0) == RECIPE.train.steps * by_formula(RECIPE, setting)
    unet = RECIPE.model_copy(update={"model": UNetRecipe(kind="unet")})
    other = backbone_of(unet, DATA.shape, DATA.classes, CPU)
    assert training_flops(other, unet, setting) is None


def test_a_second_view_is_about_a_pass_there_and_back() -> None:
    given, setting = recipe(), Dispersion()
    both = given.override({"train.contrastive.block": 1})
    added = counted(both, setting) - counted(given, setting)
    assert added == pytest.approx(second_view_flops(pass_flops(network(given)), both), rel=0.1)
    assert second_view_flops(pass_flops(network(given)), given) == 0


@pytest.mark.parametrize(
    ("solver", "cfg", "interval"),
    [("euler", 1.0, (0.0, 1.0)), ("heun", 1.0, (0.0, 1.0)), ("euler", 2.0, (0.0, 1.0)), ("euler", 2.0, (0.0, 0.45))],
)
def test_a_samples_operations_are_those_torch_counts(solver: str, cfg: float, interval: tuple[float, float]) -> None:
    drawn = {"eval.solver": solver, "eval.cfg": cfg, "eval.nfe": 10}
    given = recipe().override(drawn)
    given = given.model_copy(update={"eval": given.eval.model_copy(update={"cfg_interval": interval})})
    trained = cohort(given)
    with FlopCounterMode(display=False) as counter:
        trained.draw(0, 4)
    # A step is guided or is not: of ten, five begin within the first 45 %.
    expected = 4 * sample_flops(pass_flops(network(given)), given.eval)
    assert counter.get_total_flops() == pytest.approx(expected, rel=0.05 if interval[1] < 1 else 0)


@pytest.mark.parametrize(("preset", "published"), [("S", 6.06), ("B", 23.01), ("L", 80.71), ("XL", 118.64)])
def test_a_pass_of_the_published_sizes_takes_the_published_operations(preset: str, published: float) -> None:
    """DiT's figures (arXiv:2212.09748, table 4, latents of 32 x 32) count a multiply-add as one."""
    given = Recipe.model_validate({"model": {"preset": preset}, "objective": {"kind": "diffusion"}})
    sit = SiT(given.model, (4, 32, 32), 1000, 1.0, torch.device("cpu"), given.objective.demands)
    assert pass_flops(sit).forward / 2e9 == pytest.approx(published, rel=0.002)


def test_a_backward_pass_takes_twice_a_forward_pass_but_for_the_inputs() -> None:
    counts = PassFlops(first=1, products=10, attention=100)
    assert (counts.forward, counts.backward, counts.tangent) == (111, 221, 211)
