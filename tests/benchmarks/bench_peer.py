"""`make bench-peer PEER=path`: our training step beside the public SiT code's, in one process, interleaved.

PEER is a checkout of github.com/willisma/SiT; its `models.py`, `transport` and `update_ema` are used as they are, and
need `timm` and `torchdiffeq` (`--site`: a folder they were installed into, if not into the environment). Its loop is
followed step by step: draw, loss, `zero_grad`, backward, AdamW, EMA, `loss.item()`. To its advantage, batches are
sliced from memory where it has a DataLoader, and at bf16 it runs under autocast. Both sides train the same sizes with
Dispersive Loss on one block, the peer with `pdist`, as the authors' public code has it; ours has the exact GELU, the
peer's its approximation by tanh.
"""

from __future__ import annotations

import argparse
import ast
import copy
import statistics
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from trainer.data.dataset import Dataset, load
from trainer.evaluation.evaluator import Evaluator
from trainer.evaluation.torch_fidelity import torch_fidelity
from trainer.recipe import Dispersion, Lane, Recipe
from trainer.runtime.process import prepare
from trainer.training.cohort import Cohort

BLOCK, LAM, TAU = 1, 0.25, 0.5
Step = Callable[[], None]


class Size(NamedTuple):
    """What both sides train."""

    name: str
    recipe: dict[str, Any]


SIZES = (
    Size("digits-compact, batch 32", {"train": {"batch": 32}}),
    Size("digits-compact, batch 128", {"train": {"batch": 128}}),
    Size("digits, width 64, batch 64", {"model": {"width": 64, "depth": 4, "heads": 4}, "train": {"batch": 64}}),
    Size(
        "mnist-compact, batch 32",
        {"data": {"name": "mnist5k"}, "model": {"preset": "mnist-compact"}, "train": {"batch": 32}},
    ),
    Size(
        "mnist-compact, batch 32, bf16",
        {
            "data": {"name": "mnist5k"},
            "model": {"preset": "mnist-compact"},
            "train": {"batch": 32, "precision": "bf16"},
        },
    ),
)


def ours(recipe: Recipe, data: Dataset, lam: float) -> Step:
    """Return a function that takes one of our steps."""
    device = torch.device("cpu")
    evaluator = Evaluator(recipe.eval, data, Path(), device)
    lane = Lane(Dispersion(blocks=(BLOCK,), lam=lam, tau=TAU), 0)
    cohort = Cohort(recipe, [lane], data, device, evaluator)
    return lambda: cohort.advance(cohort.step + 1)


class Peer:
    """The public code's loop, on one process and without its cluster, encoder and file reading."""

    def __init__(self, checkout: Path) -> None:
        torch_fidelity()  # lends torchvision, which timm imports, what it lacks beside a CPU build of torch
        sys.path.insert(0, str(checkout))
        import models  # type: ignore[import-not-found]
        import transport  # type: ignore[import-not-found]

        self._models, self._transport = models, transport
        self._update_ema = _function(checkout / "train.py", "update_ema")

    def step(self, recipe: Recipe, data: Dataset, lam: float) -> Step:
        """Return a function that takes one of its steps."""
        torch.manual_seed(0)
        sizes, batch = recipe.model, recipe.train.batch
        channels, side, _ = data.shape
        model = self._models.SiT(
            input_size=side,
            patch_size=sizes.patch,
            in_channels=channels,
            hidden_size=sizes.width,
            depth=sizes.depth,
            num_heads=sizes.heads,
            mlp_ratio=sizes.mlp_ratio,
            num_classes=data.classes,
            learn_sigma=False,
        )
        ema = copy.deepcopy(model).requires_grad_(False)
        self._update_ema(ema, model, decay=0)
        model.train()
        path = self._transport.create_transport()
        optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0)
        kept: list[Tensor] = []
        model.blocks[BLOCK].register_forward_hook(lambda *given: kept.append(given[2]))
        batches = _batches(data, batch)
        update, dispersed = self._update_ema, lam > 0
        low = torch.autocast("cpu", torch.bfloat16, enabled=recipe.train.precision == "bf16")

        def step() -> None:
            x, y = next(batches)
            with low:
                loss = path.training_losses(model, x, {"y": y})["loss"].mean()
            if dispersed:
                loss = loss + lam * public_dispersive_loss(kept[-1].float(), TAU)
            kept.clear()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            update(ema, model)
            loss.item()

        return step


def public_dispersive_loss(z: Tensor, tau: float) -> Tensor:
    """Return log mean_ij exp(-|z_i - z_j|^2 / (d tau)) from `pdist`, each pair twice and the diagonal once."""
    z = z.flatten(1)
    distances = torch.nn.functional.pdist(z).square() / z.shape[1]
    whole = torch.cat([distances, distances, distances.new_zeros(len(z))])
    return (-whole / tau).exp().mean().log()


def _function(file: Path, name: str) -> Any:
    """Return one function of a module that cannot be imported (it wants a GPU cluster's packages)."""
    tree = ast.parse(file.read_text())
    found = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name]
    names = {"torch": torch, "OrderedDict": OrderedDict}
    exec(compile(ast.Module(found, []), str(file), "exec"), names)  # the user's own checkout
    return names[name]


def _batches(data: Dataset, batch: int) -> Iterator[tuple[Tensor, Tensor]]:
    while True:
        rows = torch.randperm(len(data.train_images))
        for start in range(0, len(rows) - batch + 1, batch):
            at = rows[start : start + batch]
            yield data.train_images[at], data.train_labels[at]


def interleaved(steps: Mapping[str, Step], rounds: int, seconds: float) -> dict[str, list[float]]:
    """Return milliseconds of CPU time a step of everything, round by round; each round is about `seconds` of each.

    Both sides run on one thread, so CPU time is wall time on a machine that does nothing else.
    """
    count = {}
    for name, step in steps.items():
        for _ in range(5):
            step()
        begun = time.process_time()
        for _ in range(5):
            step()
        count[name] = max(3, round(seconds / ((time.process_time() - begun) / 5)))
    found: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(rounds):
        # Forwards, then backwards: a machine that slows down slows all alike.
        for name in list(steps)[:: 1 if turn % 2 == 0 else -1]:
            begun = time.process_time()
            for _ in range(count[name]):
                steps[name]()
            found[name].append(1000 * (time.process_time() - begun) / count[name])
    return found


def ratio(slow: list[float], fast: list[float]) -> float:
    """Return the median of the rounds' ratios."""
    return statistics.median(a / b for a, b in zip(slow, fast, strict=True))


def table(checkout: Path, rounds: int, seconds: float) -> str:
    """Measure every size and return a markdown table."""
    peer = Peer(checkout)
    rows = []
    for size in SIZES:
        recipe = Recipe.model_validate(size.recipe)
        data = load(recipe.data)
        found = interleaved(
            {
                "ours": ours(recipe, data, LAM),
                "peer": peer.step(recipe, data, LAM),
                "ours plain": ours(recipe, data, 0),
                "peer plain": peer.step(recipe, data, 0),
            },
            rounds,
            seconds,
        )
        median = {name: statistics.median(times) for name, times in found.items()}
        rows.append(
            f"| {size.name} | {median['ours']:.2f} ms | {median['peer']:.2f} ms | "
            f"{ratio(found['peer'], found['ours']):.2f}x | "
            f"{100 * (ratio(found['ours'], found['ours plain']) - 1):.1f} % | "
            f"{100 * (ratio(found['peer'], found['peer plain']) - 1):.1f} % |"
        )
    goals = "Goals: 1.5x; our dispersive term at most 4 % of a step at batch 128.\n"
    head = "| size | our step | public SiT's | ratio | our dispersive term | pdist |"
    return "\n".join([goals, head, "|---|---|---|---|---|---|", *rows])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peer", type=Path, help="a checkout of the public SiT code")
    parser.add_argument("--site", type=Path, help="folder with timm and torchdiffeq")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=0.5)
    given = parser.parse_args()
    if given.site:
        sys.path.append(str(given.site))
    prepare(threads=1)
    print(table(given.peer, given.rounds, given.seconds))


if __name__ == "__main__":
    main()
