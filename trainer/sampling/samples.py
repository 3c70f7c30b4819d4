"""Drawing samples from K lanes with balanced labels and noise shared by all lanes of a seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from trainer.backbones.sit import SiT
from trainer.objectives.solver import guide, solve
from trainer.recipe import EvalRecipe
from trainer.rng.streams import Stream, generator
from trainer.runtime.cuda_graph import CapturedCall

GRID_IMAGES = 40  # samples kept for a picture


def samples(
    model: SiT,
    weights: Mapping[str, Tensor],
    recipe: EvalRecipe,
    seeds: Sequence[int],
    *,
    first: int = 0,
    until: int | None = None,
    labels: Sequence[int] | None = None,
) -> Iterator[tuple[int, Tensor]]:
    """Yield (start, images [K, b, C, H, W]): the samples number `first` to `until` - 1, or to recipe.samples - 1.

    Labels run 0, 1, .., classes - 1, 0, ..; those given take turns likewise. The noise of a sample is a function of
    (seed, recipe.batch, its number) alone, so lanes of one seed, and every trial on that seed, are drawn from the same
    noise however many they draw.
    """
    device = weights["labels"].device
    until = recipe.samples if until is None else until
    turns = torch.tensor(range(model.classes) if labels is None else labels, device=device)
    # All evaluations of a whole batch are one graph on a GPU, made anew here, for it is of these weights.
    solve_batch = CapturedCall(partial(_solve, model, weights, recipe), device, warm_ups=1)
    # Then a part of a batch is taken from a whole one; a CPU, or a single call, solves the part alone.
    in_wholes = not solve_batch.plain and until - first > recipe.batch
    while first < until:
        chunk, skipped = divmod(first, recipe.batch)
        count = min(recipe.batch - skipped, until - first)
        wanted = slice(skipped, skipped + count)
        solved = slice(0, recipe.batch) if in_wholes else wanted
        # Always of a whole batch: torch draws other numbers for another shape.
        drawn = {s: _noise(s, chunk, (recipe.batch, *model.shape), device) for s in set(seeds)}
        noise = torch.stack([drawn[seed][solved] for seed in seeds])
        numbers = chunk * recipe.batch + torch.arange(solved.start, solved.stop, device=device)
        images = solve_batch(noise, turns[numbers % len(turns)].expand(len(seeds), -1))
        yield first, images if solved == wanted else images[:, wanted]
        first += count


def _noise(seed: int, chunk: int, shape: tuple[int, ...], device: torch.device) -> Tensor:
    random = generator(seed, Stream.SAMPLE, chunk, device)
    return torch.randn(shape, generator=random, device=device)


def _solve(model: SiT, weights: Mapping[str, Tensor], recipe: EvalRecipe, noise: Tensor, labels_KB: Tensor) -> Tensor:
    nothing_KB = torch.full_like(labels_KB, model.classes)

    def velocity(x: Tensor, t: float) -> Tensor:
        times_KB = torch.full(labels_KB.shape, t, device=x.device)
        if recipe.cfg == 1:
            return model(weights, x, times_KB, labels_KB).velocity
        both = model(
            weights, torch.cat([x, x], 1), torch.cat([times_KB, times_KB], 1), torch.cat([labels_KB, nothing_KB], 1)
        ).velocity
        conditional, unconditional = both.chunk(2, dim=1)
        return guide(conditional, unconditional, recipe.cfg)

    return solve(velocity, noise, recipe.nfe, recipe.solver)
