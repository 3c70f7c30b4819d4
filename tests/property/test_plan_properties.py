"""For any study: the grid is covered exactly, in order, and its size is known without building it."""

from __future__ import annotations

import math
from collections import Counter
from itertools import product
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sweeper.planning.cells import cells
from sweeper.planning.size import size
from sweeper.planning.trials import confirm_trials, rung_steps, screen_trials
from sweeper.study import Study, block_indices, fresh_seeds
from sweeper.study.fingerprint import changed_fields
from trainer.recipe import numbered

DEPTH = 4
TAPS = numbered(DEPTH)
NUMBERS = (0.25, 0.5, 1.0)
VARIANTS = ("l2", "cosine", "hinge", "covariance")

index = st.integers(0, DEPTH - 1)
fraction = st.sampled_from([0.0, 0.25, 0.6, 1.0])
block = st.one_of(index, fraction, st.just("all"), st.lists(st.one_of(index, fraction), min_size=1, max_size=3))
knob = st.one_of(
    st.lists(st.sampled_from(NUMBERS), min_size=1, max_size=4),
    st.builds(
        lambda count, scale: {"low": 0.25, "high": 1.0, "count": count, "scale": scale},
        st.integers(2, 4),
        st.sampled_from(["linear", "log"]),
    ),
)
local_batch = st.sampled_from([4, 16, "all"])


def _with_idle_tau(cell: dict[str, Any]) -> dict[str, Any]:
    return {**cell, "tau": 1.0} if cell["variant"] == "covariance" else cell


extra = st.fixed_dictionaries(
    {
        "block": block,
        "lambda": st.sampled_from(NUMBERS),
        "tau": st.sampled_from(NUMBERS),
        "variant": st.sampled_from(VARIANTS),
        "local_batch": local_batch,
    }
).map(_with_idle_tau)


def _setting(cell: dict[str, Any]) -> tuple[object, ...]:
    written = tuple(cell["block"]) if isinstance(cell["block"], list) else cell["block"]
    tau = None if cell["variant"] == "covariance" else cell["tau"]
    return block_indices(written, TAPS), cell["lambda"], tau, cell["variant"], cell["local_batch"]


@st.composite
def studies(draw: st.DrawFn) -> Study:
    decays = draw(st.lists(st.sampled_from([0.1, 0.2, 0.3]), unique=True, max_size=3))
    extras = draw(st.lists(extra, max_size=3, unique_by=_setting))
    relative = draw(st.booleans())
    variants = ["l2"] if relative else draw(st.lists(st.sampled_from(VARIANTS), min_size=1, max_size=4))
    return Study.model_validate(
        {
            "name": "s",
            "question": "q?",
            "recipe": {"train": {"steps": draw(st.integers(1, 40)), "warmup": 0}},
            "space": {
                "block": draw(st.lists(block, min_size=1, max_size=4)),
                "lambda": draw(knob),
                "tau": [1.0] if {*variants} == {"covariance"} else draw(knob),
                "variant": variants,
                "tau_units": "relative" if relative else "absolute",
                "local_batch": draw(st.lists(local_batch, min_size=1, max_size=3)),
            },
            "cells": [{"label": f"cell {place}", **cell} for place, cell in enumerate(extras)],
            "controls": [{"name": f"decay-{value}", "set": {"train.weight_decay": value}} for value in decays],
            "screen": {
                "seeds": draw(st.lists(st.integers(0, 9), min_size=1, max_size=3, unique=True)),
                "rungs": [*draw(st.sets(st.sampled_from([0.1, 0.3, 0.5, 0.9]), max_size=4).map(sorted)), 1.0],
            },
            "confirm": draw(st.one_of(st.none(), st.just({"top": 3, "seeds": 5}))),
            "resources": {"cohort": draw(st.integers(1, 5))},
        }
    )


def _wanted(study: Study) -> set[tuple[object, ...]]:
    """What the grid and the extra cells ask for, worked out anew from the words of the study."""
    axes = [axis if isinstance(axis, tuple) else axis.points() for axis in (study.space.lam, study.space.tau)]
    blocks = [block_indices(written, TAPS) for written in study.space.block]
    units = study.space.tau_units
    grid = {
        (where, lam, *((None, None) if variant == "covariance" else (tau, units)), variant, samples)
        for where, lam, tau, variant, samples in product(blocks, *axes, study.space.variant, study.space.local_batch)
    }
    extras = {
        (
            *(block_indices(c.block, TAPS), c.lam),
            *((None, None) if c.variant == "covariance" else (c.tau, c.tau_units)),
            *(c.variant, c.local_batch),
        )
        for c in study.cells
    }
    return grid | extras


@settings(max_examples=150, deadline=None)
@given(studies())
def test_cells_are_exactly_baseline_grid_extras_and_controls(study: Study) -> None:
    planned = cells(study)
    grid = [cell.dispersion for cell in planned if cell.role == "grid"]
    found = [
        (
            d.blocks,
            d.lam,
            *((None, None) if d.variant == "covariance" else (d.tau, d.tau_units)),
            d.variant,
            d.local_batch,
        )
        for d in grid
    ]
    assert len(found) == len(set(found))
    assert set(found) == _wanted(study)
    assert [cell.role for cell in planned].count("baseline") == 1
    assert [cell.label for cell in planned if cell.role == "control"] == [arm.name for arm in study.controls]
    assert {cell.mark for cell in planned if cell.mark} == {cell.label for cell in study.cells}


@settings(max_examples=100, deadline=None)
@given(studies())
def test_the_screen_covers_cells_times_seeds_seed_by_seed(study: Study) -> None:
    trials, planned = screen_trials(study), cells(study)
    assert [(trial.seed, trial.cell) for trial in trials] == list(product(study.screen.seeds, planned))
    keys = [trial.key for trial in trials]
    assert len(set(keys)) == len(keys)
    assert len({cell.label for cell in planned}) == len(planned)


@settings(max_examples=150, deadline=None)
@given(studies())
def test_the_size_is_that_of_the_built_plan(study: Study) -> None:
    planned, trials, counted = cells(study), screen_trials(study), size(study)
    assert (counted.cells, counted.trials, counted.seeds) == (len(planned), len(trials), len(study.screen.seeds))
    together = Counter((trial.seed, trial.cell.overrides) for trial in trials)
    assert counted.cohorts == sum(math.ceil(number / counted.lanes) for number in together.values())
    if study.confirm:
        settings = [cell for cell in planned if cell.role == "grid"]
        best = sorted(settings, key=lambda cell: cell.mark is not None)[: study.confirm.top]
        seeds = fresh_seeds(study)
        assert counted.confirm_trials == len(confirm_trials(study, best, seeds))


@settings(max_examples=100, deadline=None)
@given(studies())
def test_rungs_rise_from_one_to_the_last_step(study: Study) -> None:
    steps = rung_steps(study, study.recipe)
    assert list(steps) == sorted(set(steps))
    assert steps[0] >= 1
    assert steps[-1] == study.recipe.train.steps
    assert len(steps) == min(len(study.screen.rungs), study.recipe.train.steps)


@settings(max_examples=50, deadline=None)
@given(studies())
def test_a_study_and_its_plan_survive_json(study: Study) -> None:
    again = Study.model_validate_json(study.model_dump_json())
    assert changed_fields(study, again) == []
    assert [trial.key for trial in screen_trials(again)] == [trial.key for trial in screen_trials(study)]
