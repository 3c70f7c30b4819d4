"""The similarity of two kept models' representations, block by block, such as a setting's and the baseline's."""

from __future__ import annotations

import torch

from trainer.data.dataset import Dataset
from trainer.errors import DataError
from trainer.evaluation.linear_probe import LinearProbe
from trainer.objectives.build import objective_of
from trainer.recipe.evaluation import probe_name
from trainer.regularisers.representation import linear_cka
from trainer.sampling.kept_model import Kept


@torch.no_grad()
def similarities(first: Kept, second: Kept, data: Dataset, device: torch.device) -> dict[str, float]:
    """Return the linear CKA of two models' tokens at each tap and noise level, e.g. 'cka_t75.block_2'; 1 is the same.

    Tokens are averaged over held-out images without label, as a linear probe sees them, so both models must have been
    trained with label_drop above 0. A study keeps finalists' weights, so it need not keep tokens of every trial.
    Raises DataError for models of other data, of no hidden label, or of other numbers of taps.
    """
    origins = first.origin, second.origin
    for origin in origins:
        if origin.data_hash != data.hash:
            raise DataError(
                f"{origin.trial} was trained on data with hash {origin.data_hash[:16]}, not {data.hash[:16]}"
            )
        if origin.recipe.train.label_drop == 0:
            raise DataError(f"{origin.trial} was trained with label_drop 0: its tokens without a label mean nothing")
    taps = [origin.recipe.model.taps for origin in origins]
    if len(taps[0]) != len(taps[1]):
        raise DataError(f"{origins[0].trial} has {len(taps[0])} blocks, {origins[1].trial} has {len(taps[1])}")
    similarity = {}
    # The first one's levels and noise for both: another objective's times are not compared.
    probe = LinearProbe(data, objective_of(origins[0].recipe), origins[0].recipe.eval, device)
    for level in origins[0].recipe.eval.probe_levels:
        tokens = [probe.held_tokens(kept.network(device), level) for kept in (first, second)]
        for tap, (x, y) in enumerate(zip(*tokens, strict=True)):
            similarity[probe_name("cka", level, tap)] = float(linear_cka(x, y))
    return similarity
