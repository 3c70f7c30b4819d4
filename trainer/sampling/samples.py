"""Drawing samples from K lanes with balanced labels and noise shared by all lanes of a seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

import torch
from torch import Tensor

from trainer.backbones.protocol import Network
from trainer.objectives.protocol import Objective
from trainer.recipe import EvalRecipe
from trainer.rng import counters
from trainer.rng.step_noise import StepNoise, step_keys
from trainer.rng.streams import Stream, generator, key
from trainer.runtime.cuda_graph import CapturedCall
from trainer.sampling.lane_by_lane import LaneByLane

GRID_IMAGES = 40  # samples kept for a picture


def samples(
    network: Network,
    objective: Objective,
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
    noise however many they draw. Raises CompilerError where recipe.compile is 'on' and cannot be; 'auto' is 'off' here,
    and of recipe.precision 'fp32'.
    """
    compiled, low = recipe.compile == "on", recipe.precision == "bf16"
    by_lane = compiled or low
    network = LaneByLane(network, compiled, low) if by_lane else network
    device, backbone = network.device, network.backbone
    until = recipe.samples if until is None else until
    turns = torch.tensor(range(backbone.classes) if labels is None else labels, device=device)

    def solve(noise: Tensor, labels: Tensor, keys: Tensor, places: Tensor) -> Tensor:
        return objective.sample(network, noise, labels, recipe, StepNoise(keys, recipe.batch, places))

    # All evaluations of a whole batch are one graph on a GPU, made anew here, for it is of these weights.
    solve_batch = CapturedCall(solve, device, warm_ups=1)
    # Then a part of a batch is taken from a whole one; a CPU, or a single call, solves the part alone. Compiled code
    # for the part would take longer to make than to run, and bfloat16 may round otherwise at another size.
    in_wholes = by_lane or (not solve_batch.plain and until - first > recipe.batch)
    while first < until:
        chunk, skipped = divmod(first, recipe.batch)
        count = min(recipe.batch - skipped, until - first)
        wanted = slice(skipped, skipped + count)
        solved = slice(0, recipe.batch) if in_wholes else wanted
        # Always of a whole batch: torch draws other numbers for another shape.
        drawn = {s: _noise(s, chunk, (recipe.batch, *backbone.shape), device) for s in set(seeds)}
        noise = torch.stack([drawn[seed][solved] for seed in seeds])
        places = torch.arange(solved.start, solved.stop, device=device)
        chosen = turns[(chunk * recipe.batch + places) % len(turns)].expand(len(seeds), -1)
        images = solve_batch(noise, chosen, step_keys(seeds, chunk, device), places)
        yield first, images if solved == wanted else images[:, wanted]
        first += count


def _noise(seed: int, chunk: int, shape: tuple[int, ...], device: torch.device) -> Tensor:
    if device.type == "cuda":
        # torch's generators draw other numbers on a card with other multiprocessors.
        named = torch.tensor([key(seed, Stream.SAMPLE, chunk)], device=device)
        return counters.normal(named, 0, prod(shape)).view(shape)
    return torch.randn(shape, generator=generator(seed, Stream.SAMPLE, chunk, device), device=device)
