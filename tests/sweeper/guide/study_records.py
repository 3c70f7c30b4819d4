"""Synthetic study records with known truths: what a ledger would hold, made up in milliseconds."""

from __future__ import annotations

import io
import itertools
import math
import random as rng
from collections.abc import Callable, Iterable, Mapping

import numpy as np
from PIL import Image

from sweeper.records import Cell, Facts, Provenance, Rung, Stage, StudyRecord, TrialRecord, TrialSpec, TrialState
from sweeper.study import Study, block_indices
from trainer.recipe import Dispersion

FACTS = Facts(data_hash="1f" * 32, extractor="domain", extractor_sha256="3f9c01ab" * 8, device="cpu (synthetic)")
BASELINE = Cell(role="baseline", label="baseline (lambda 0)", dispersion=Dispersion())
TRUE_BASELINE = 12.0

Effect = Callable[[Cell], float]  # true log ratio to the baseline


def make_study(**changes: object) -> Study:
    """A study of block x tau on digits with one lambda, three seeds and two rungs, but for `changes`."""
    tree: dict[str, object] = {
        "name": "block_temp",
        "question": "Which block and which temperature?",
        "tuning": "Learning rate and width tuned at lambda 0 on other seeds.",
        "space": {"block": [0, 1, 2, 3], "lambda": [0.01, 0.25], "tau": [0.25, 0.5, 1.0]},
        "confirm": {"top": 3, "seeds": 5},
        **changes,
    }
    return Study.model_validate(tree)


def setting(blocks: tuple[int, ...], lam: float, tau: float, mark: str | None = None) -> Cell:
    """A cell of the grid, labelled as the plan labels it."""
    label = f"block {'+'.join(map(str, blocks))}, lambda {lam:g}, tau {tau:g}"
    return Cell(role="grid", label=label, dispersion=Dispersion(blocks=blocks, lam=lam, tau=tau), mark=mark)


def control(name: str = "weight-decay", **overrides: float) -> Cell:
    """A control arm that changes the recipe."""
    pairs = tuple(overrides.items()) or (("train.weight_decay", 0.5),)
    return Cell(role="control", label=name, dispersion=Dispersion(), overrides=pairs)


def grid_cells(study: Study, marks: Mapping[tuple[tuple[int, ...], float, float], str] | None = None) -> list[Cell]:
    """Every setting of a study whose axes are lists."""
    space, taps = study.space, study.recipe.model.taps
    assert isinstance(space.lam, tuple)
    assert isinstance(space.tau, tuple)
    blocks = [block_indices(block, taps) for block in space.block]
    return [
        setting(at, lam, tau, (marks or {}).get((at, lam, tau)))
        for at, lam, tau in itertools.product(blocks, space.lam, space.tau)
    ]


def metrics(cell: Cell, fid: float, step: int, steps: int, depth: int, last: bool, noise: float) -> dict[str, float]:
    """All that a rung records, with health that worsens with lambda / tau; `noise` moves what is told beside FID."""
    push = cell.dispersion.lam / cell.dispersion.tau
    found = {"fid_10k": fid, "train_loss": 0.2, "train_s": 20.0 * step / steps, "eval_s": 14.0, "cpu_s": 30.0}
    for block in range(depth):
        own = block in cell.dispersion.blocks
        found[f"feature_norm.block_{block}"] = (0.4 + 0.1 * block) * (1 + 6 * push * own)
        found[f"effective_rank.block_{block}"] = 20 + 5.0 * block + 12 * push * own
    if cell.dispersion.lam:
        found |= {"floor_share": min(1.0, push), "floor_distance": 2 / (1 + 20 * push), "dispersive_loss": -2.0}
    if last:
        found |= {"val_loss": 0.21 + 0.03 * push + 0.002 * noise, "kid_10k": fid / 4000, "precision_10k": 0.8}
        found |= {"recall_10k": 0.6 - 0.01 * noise, "nearest_train": 3.1, "nearest_train_ratio": 1.02 + 0.01 * noise}
    return found


def trial(
    cell: Cell,
    seed: int,
    fid: float | None = TRUE_BASELINE,
    stage: Stage = "screen",
    state: TrialState = "complete",
    steps: int = 800,
    depth: int = 4,
) -> TrialRecord:
    """A trial with rungs at half and all of its steps; only half for a stopped one, none without `fid`."""
    rungs: tuple[Rung, ...] = ()
    if fid is not None:
        # Any number between -1 and 1 that depends on cell and seed.
        noise = rng.Random(f"{cell.key}.{seed}").uniform(-1, 1)
        half = Rung(step=steps // 2, metrics=metrics(cell, 2.2 * fid, steps // 2, steps, depth, False, noise))
        end = Rung(step=steps, metrics=metrics(cell, fid, steps, steps, depth, True, noise))
        rungs = (half, end) if state == "complete" else (half,)
    spec = TrialSpec(stage=stage, cell=cell, seed=seed)
    return TrialRecord(spec=spec, state=state, rungs=rungs, facts=FACTS if rungs else None)


def make_record(study: Study, trials: Iterable[TrialRecord]) -> StudyRecord:
    """A study's record, fifteen minutes on two cores."""
    provenance = Provenance(
        command="sweeper run studies/block_temp.yaml --yes",
        commit="0123456789abcdef0123456789abcdef01234567",
        dirty=False,
        versions={"torch": "2.13.0", "ray": "2.60.0"},
        cores=2,
        started="2026-01-02T03:04:05Z",
        wall_s=900.0,
        torch_fidelity_difference=3.2e-8,
    )
    return StudyRecord(study=study, provenance=provenance, trials=tuple(trials))


def simulate(
    study: Study,
    cells: Iterable[Cell],
    effect: Effect,
    stage: Stage = "screen",
    seeds: Iterable[int] = (0, 1, 2),
    noise: float = 0.05,
    shared: float = 0.08,
    stopped: Callable[[Cell], bool] = lambda _: False,
    random: int = 0,
) -> list[TrialRecord]:
    """Trials of the baseline and these cells; log FID = baseline + effect + seed block + noise."""
    generator, rows = np.random.default_rng(random), []
    arms, depth = [BASELINE, *cells], len(study.recipe.model.taps)
    for seed in seeds:
        block = generator.normal(0, shared)
        for cell in arms:
            log_fid = math.log(TRUE_BASELINE) + block + generator.normal(0, noise)
            log_fid += effect(cell) if cell.role != "baseline" else 0.0
            state: TrialState = "pruned" if cell.role != "baseline" and stopped(cell) else "complete"
            rows.append(trial(cell, seed, math.exp(log_fid), stage, state, depth=depth))
    return rows


def harmful(cell: Cell) -> float:
    """As measured on digits: harm grows with lambda / tau; weight decay is harmless."""
    return 1.2 * cell.dispersion.lam / cell.dispersion.tau if cell.role == "grid" else -0.02


def typical() -> StudyRecord:
    """A whole study: a harmful grid with stopped cells, a marked cell, a control arm, and fresh seeds."""
    study = make_study(controls=[{"name": "weight-decay", "set": {"train.weight_decay": 0.5}}])
    cells = [control(), *grid_cells(study, {((1,), 0.25, 0.5): "paper's tau and block, half its lambda"})]
    screened = simulate(study, cells, harmful, stopped=lambda cell: cell.dispersion.lam / cell.dispersion.tau >= 1)
    chosen = [setting((2,), 0.01, 1.0), setting((0,), 0.01, 0.5), setting((3,), 0.01, 1.0)]
    confirmed = simulate(study, chosen, harmful, "confirm", range(100, 105), random=1)
    return make_record(study, [*screened, *confirmed])


def large_search(trials: int) -> StudyRecord:
    """A random search of about so many trials over continuous knobs, three seeds each."""
    study = make_study(
        space={
            "block": ["all", 0],
            "lambda": {"low": 1e-4, "high": 1, "count": 50},
            "tau": {"low": 0.1, "high": 2, "count": 34},
        },
        screen={"sampler": "random", "trials": trials},
    )
    draw = rng.Random(0)
    cells = [setting((draw.randrange(4),), draw.uniform(1e-4, 1), draw.uniform(0.1, 2)) for _ in range(trials // 3)]
    return make_record(study, simulate(study, cells, harmful))


def grid_png(key: str) -> bytes:
    """A sample grid as the trainer would draw one: 8 x 8 images of 8 x 8 pixels."""
    pixels = np.random.default_rng(sum(key.encode())).integers(0, 256, (64, 64), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
