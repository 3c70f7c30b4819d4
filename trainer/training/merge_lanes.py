"""Build a cohort's state from lanes of other cohorts: rows are copied bit for bit, nothing is computed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from trainer.training.running_means import current_name

WHOLE = ("step", "living")  # of a cohort; all else has a row for every living lane


def gathered(parts: Iterable[tuple[Mapping[str, Tensor], Sequence[int]]]) -> dict[str, Tensor]:
    """Return the state of a cohort whose lanes are, one after the other, the given lanes of saved states.

    Parts are read in turn, so that only one state needs to be in memory whole. Raises ValueError where a lane is not
    alive in its state, states hold different tensors or tensors of different shapes, or they are at different steps.
    """
    steps: set[int] = set()
    taken: dict[str, list[Tensor]] = {}
    count = 0
    for state, lanes in parts:
        rows = _rows(state, lanes)
        for name in state.keys() - set(WHOLE):
            taken.setdefault(current_name(name), []).append(state[name].index_select(0, rows))
        steps.add(int(state["step"]))
        count += len(lanes)
    if len(steps) != 1:
        raise ValueError(f"lanes at steps {sorted(steps)} cannot train together: they must be at one step")
    unlike = sorted(name for name, rows in taken.items() if len({row.shape[1:] for row in rows}) > 1)
    if unlike:
        raise ValueError(f"lanes whose {', '.join(unlike)} differ in shape cannot train together")
    joined = {name: torch.cat(rows_of) for name, rows_of in taken.items()}
    short = sorted(name for name, rows in joined.items() if len(rows) != count)
    if short:
        raise ValueError(f"not every state has {', '.join(short)}")
    return joined | {"step": torch.tensor(steps.pop()), "living": torch.arange(count)}


def _rows(state: Mapping[str, Tensor], lanes: Sequence[int]) -> Tensor:
    living = state["living"].tolist()
    if not set(lanes) <= set(living):
        raise ValueError(f"lanes {sorted(set(lanes) - set(living))} are not alive; alive: {living}")
    return torch.tensor([living.index(lane) for lane in lanes], dtype=torch.long)
