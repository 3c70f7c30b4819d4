"""A small recipe and lanes of every kind, for tests of cohorts."""

import torch

from trainer.recipe import Dispersion, EvalRecipe, Lane, Recipe, SiTRecipe, TrainRecipe
from trainer.training.cohort import Cohort

CPU = torch.device("cpu")
RECIPE = Recipe(
    model=SiTRecipe(width=16, depth=2, heads=2),
    train=TrainRecipe(steps=60, batch=8, warmup=5, lr=4e-3),
    eval=EvalRecipe(samples=100, batch=50, nfe=2, probe=16),
)
BASELINE = Lane(Dispersion(), 0)
LANES = (
    BASELINE,
    Lane(Dispersion(blocks=(1,), lam=0.25, tau=0.5), 0),
    Lane(Dispersion(blocks=(0, 1), lam=0.1, tau=1.0, variant="hinge"), 1),
    Lane(Dispersion(blocks=(0,), lam=0.05, tau=0.5, tau_units="relative"), 1),
)


def states_equal(one: Cohort, other: Cohort) -> bool:
    a, b = one.state_dict(), other.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name].nan_to_num(-1), b[name].nan_to_num(-1)) for name in a)


def measured(cohort: Cohort) -> list[dict[str, float]]:
    return [one.metrics for one in cohort.measure()]
