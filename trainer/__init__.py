"""Compact diffusion transformers with Dispersive Loss, in pure torch. It never imports sweeper.

`DispersiveLoss` is a torch module for anyone's training loop; `Cohort` trains many lanes of a recipe at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainer.recipe import Lane, Recipe
    from trainer.regularisers.dispersive_module import DispersiveLoss
    from trainer.training.cohort import Cohort

_MODULE = {
    "Cohort": "trainer.training.cohort",
    "DispersiveLoss": "trainer.regularisers.dispersive_module",
    "Lane": "trainer.recipe",
    "Recipe": "trainer.recipe",
}

__all__ = ["Cohort", "DispersiveLoss", "Lane", "Recipe"]


def __getattr__(name: str) -> Any:
    if name not in _MODULE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULE[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
