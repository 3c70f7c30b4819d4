"""Measure a kept model again: with the metrics it was recorded with, or with others added later."""

from __future__ import annotations

import torch

from trainer.errors import DataError
from trainer.evaluation.evaluator import Evaluator
from trainer.evaluation.held_out import HeldOut
from trainer.evaluation.linear_probe import LinearProbe
from trainer.objectives.build import objective_of
from trainer.sampling.kept_model import Kept
from trainer.sampling.samples import samples


@torch.no_grad()
def rescored(kept: Kept, evaluator: Evaluator) -> dict[str, float]:
    """Return the metrics that the trial's last rung measures of its weights, with the evaluator's settings.

    With those of the recipe the figures are the recorded ones; FID, KID and the like with another extractor, solver
    or number of samples are new ones, under their own names:

        found = kept.read(path.read_bytes(), path.name)
        data = load(found.origin.recipe.data)
        rescored(found, Evaluator(found.origin.recipe.eval, data, cache, torch.device("cpu")))

    Raises DataError for an evaluator of other data than the model was trained on.
    """
    origin, data, recipe = kept.origin, evaluator.data, evaluator.recipe
    if data.hash != origin.data_hash:
        raise DataError(
            f"{origin.trial} was trained on data with hash {origin.data_hash[:16]}; these have {data.hash[:16]}"
        )
    network, objective = kept.network(evaluator.device), objective_of(origin.recipe)
    tally = evaluator.tally(1, final=True)
    for _, images_KBCHW in samples(network, objective, recipe, [origin.seed], until=tally.count):
        tally.add(images_KBCHW)
    held_out = HeldOut(data, objective, recipe.probe, evaluator.device)
    probe = LinearProbe(data, objective, recipe, evaluator.device)
    held = held_out.metrics(network, last=True) | probe.metrics(network, last=True)
    return tally.metrics()[0] | {name: float(value) for name, value in held.items()}
