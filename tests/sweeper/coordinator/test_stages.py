"""What a stage takes from other studies of its workspace: no seed that one of the same recipe has looked at."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeper.coordinator.coordinator import Coordinator
from sweeper.coordinator.seed_registry import SeedRegistry
from sweeper.errors import StudyError
from sweeper.ledger import read_study
from sweeper.study import Study, fresh_seeds
from sweeper.study.registration import Registration
from tests.sweeper.coordinator.coordinators import open_coordinator, paths, ready, study
from tests.sweeper.coordinator.simulated_workers import SimulatedWorkers

__all__ = ["ready"]  # a fixture, used by being here

BOTH = ("screen", "confirm")


def confirming(**confirm: object) -> Study:
    return study(space={"block": [0], "lambda": [0.1]}, confirm={"top": 1, "seeds": 2, **confirm})


def another(root: Path) -> Registration:
    """A study of the same recipe in the same workspace."""
    return Registration.of(study(name="another"), root)


def run(coordinator: Coordinator) -> None:
    SimulatedWorkers(coordinator, 1, lambda spec, _: 5.0 + len(spec.key)).run()


def recorded(root: Path) -> tuple[int, ...]:
    return read_study(f"sqlite:///{root}/mlflow.db", "tiny").fresh_seeds


def test_fresh_seeds_are_none_that_another_study_has_looked_at(tmp_path):
    of, registry = confirming(), SeedRegistry(tmp_path / "seeds.jsonl")
    unseen = fresh_seeds(of)
    registry.add(another(tmp_path), unseen[:1])
    coordinator = open_coordinator(tmp_path, of, BOTH)
    run(coordinator)
    assert coordinator.progress().counts == {"complete": 8}
    assert coordinator.close(interrupted=False, timeout=60)
    chosen = recorded(tmp_path)
    assert len(chosen) == 2
    assert unseen[0] not in chosen
    assert unseen[1] in chosen


def test_seeds_that_were_looked_at_while_the_screen_ran_are_refused_as_fresh_and_no_trial_is_blamed(tmp_path):
    of = confirming(seeds=[7, 8])
    coordinator = open_coordinator(tmp_path, of, BOTH)
    SeedRegistry(tmp_path / "seeds.jsonl").add(another(tmp_path), (8,))
    run(coordinator)
    stopped = coordinator.halted()
    assert isinstance(stopped, StudyError)
    assert "confirm.seeds: not fresh: another already used them with this recipe: 8" in str(stopped)
    assert coordinator.progress().counts == {"complete": 4}
    assert coordinator.close(interrupted=True, timeout=60)
    assert recorded(tmp_path) == ()


@pytest.mark.parametrize(("stages", "seeds"), [(("screen",), {0, 1}), (BOTH, {0, 1, 7, 8})])
def test_the_seeds_a_study_looks_at_are_known_to_every_other_of_its_recipe(tmp_path, stages, seeds):
    coordinator = open_coordinator(tmp_path, confirming(seeds=[7, 8]), stages)
    run(coordinator)
    assert SeedRegistry(tmp_path / "seeds.jsonl").seen(another(tmp_path)) == dict.fromkeys(seeds, "tiny")


def test_a_study_that_goes_on_keeps_the_fresh_seeds_it_chose_whoever_looked_at_them_since(tmp_path):
    of = confirming()
    first = open_coordinator(tmp_path, of, BOTH)
    workers = SimulatedWorkers(first, 1, lambda spec, _: 5.0 + len(spec.key))
    while first.progress().stage == "screen":
        workers.round()
    first.close(interrupted=True, timeout=60)
    chosen = recorded(tmp_path)
    SeedRegistry(paths(tmp_path, of).seeds).add(another(tmp_path), chosen)
    again = open_coordinator(tmp_path, of, BOTH)
    run(again)
    assert again.halted() is None
    assert again.close(interrupted=False, timeout=60)
    assert recorded(tmp_path) == chosen
