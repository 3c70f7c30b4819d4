"""Properties of the search: order of news does not matter, nothing is lost or done twice, budgets hold."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sweeper.planning.trials import screen_trials
from sweeper.records import TrialSpec, TrialState
from sweeper.search import Search
from sweeper.search.pruning import Pruning
from sweeper.search.race import Point, eliminated
from sweeper.search.store import Entry, Store
from sweeper.study import Study

RUNGS = (0.25, 0.5, 1.0)
PRUNERS = ("race", "none", "median", "halving", "hyperband", "wilcoxon")
NAMES = itertools.count()

fids = st.floats(5, 500)
on_disk = settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One store for all examples, which differ in the study's name."""
    return f"sqlite:///{tmp_path_factory.mktemp('search')}/search.db"


def make(name: str, **screen: object) -> Study:
    lam: object = [0.01, 0.1] if screen.get("sampler", "grid") == "grid" else {"low": 0.001, "high": 1, "count": 9}
    return Study.model_validate(
        {
            "name": name,
            "question": "which?",
            "recipe": {"train": {"steps": 100}},
            "space": {"block": [0, 1], "lambda": lam},
            "controls": [{"name": "decay", "set": {"train.weight_decay": 0.5}}],
            "screen": {"seeds": 3, "rungs": RUNGS, "audit_fraction": 0, **screen},
        }
    )


def entries(count: int) -> list[Entry]:
    """Trials of a grid as a store would number them."""
    specs = screen_trials(make("order", seeds=4))[:count]
    return [Entry(spec, number, number, "running") for number, spec in enumerate(specs)]


@given(data=st.data(), pruner=st.sampled_from(PRUNERS))
@settings(max_examples=120, deadline=None)
def test_verdicts_do_not_depend_on_the_order_of_reports_or_of_judging(data: st.DataObject, pruner: str):
    """Two prunings observe the same waves of lanes in different orders; lanes that end do so between waves."""
    lanes = entries(24)
    waves = [lanes[:10], lanes[10:17], lanes[17:]]
    values = data.draw(st.lists(st.lists(fids, min_size=3, max_size=3), min_size=24, max_size=24))
    orders = [data.draw(st.permutations(wave)) for wave in waves]
    told = [
        _verdicts(Pruning(pruner, RUNGS, "order"), [[lanes[e.number] for e in wave] for wave in order], values)
        for order in (waves, orders)
    ]
    assert told[0] == told[1]


def _verdicts(pruning: Pruning, waves: Sequence[Sequence[Entry]], values: list[list[float]]) -> list[frozenset[int]]:
    verdicts = []
    for wave in waves:
        alive = [Entry(e.spec, e.trial_id, e.number, "running") for e in wave]
        for rung in range(len(RUNGS)):
            for entry in alive:
                pruning.observe(entry, rung, values[entry.number][rung])
            pruning.update()
            stopped = [entry for entry in alive if rung < len(RUNGS) - 1 and pruning.stops(entry)]
            verdicts.append(frozenset(entry.number for entry in stopped))
            alive = [entry for entry in alive if entry not in stopped]
            for entry in stopped:
                entry.state = "pruned"
                pruning.ended(entry)
        for entry in alive:
            entry.state, entry.value = "complete", values[entry.number][-1]
            pruning.ended(entry)
    return verdicts


@given(
    st.dictionaries(
        st.builds(Point, st.sampled_from(["baseline", *"abcde"]), st.integers(0, 3), st.integers(0, 2)), fids
    ),
    st.randoms(use_true_random=False),
)
@settings(max_examples=200, deadline=None)
def test_the_race_is_a_function_of_the_set_of_values_and_never_stops_everyone(values, random):
    shuffled = list(values.items())
    random.shuffle(shuffled)
    out = eliminated(values, RUNGS)
    assert eliminated(dict(shuffled), RUNGS) == out
    assert "baseline" not in out
    judged = {at.cell for at in values if at.rung > 0}
    assert not judged or judged - eliminated(values, RUNGS, exempt=())


@given(scale=st.floats(0.01, 100), values=st.lists(fids, min_size=8, max_size=8))
@settings(max_examples=100, deadline=None)
def test_the_race_does_not_depend_on_the_unit_of_the_objective(scale: float, values: list[float]):
    at = [Point(cell, seed, 1) for cell in "abcd" for seed in (0, 1)]
    assert eliminated(dict(zip(at, values, strict=True)), RUNGS) == eliminated(
        {point: value * scale for point, value in zip(at, values, strict=True)}, RUNGS
    )


def fid_of(spec: TrialSpec, rung: int) -> float:
    """A figure that depends on the trial and rung alone; lambda .1 on block 1, and lambdas above .5, are eliminated."""
    setting = spec.cell.dispersion
    far = setting.lam == 0.1 and setting.blocks == (1,)
    return (20 + spec.seed + 3 * setting.lam + (spec.cell.role == "control")) * (20 if far else 1) * (1.5 - rung / 4)


def run(search: Search, lanes: int) -> None:
    """Continue a search to its end, as a coordinator does after a crash: trials left running go first."""
    left = [[trial] for trial in search.running()]
    while batch := left.pop() if left else search.claim(lanes):
        living = {trial.key: trial for trial in batch}
        for rung, step in enumerate((25, 50, 100)):
            for trial in living.values():
                search.report(trial.key, step, rung, fid_of(trial, rung))
            for key in search.judge(living):
                search.finish(key, "pruned")
                del living[key]
        for key, trial in living.items():
            search.finish(key, "complete", fid_of(trial, 2))


class Crash(Exception):  # noqa: N818
    pass


@contextlib.contextmanager
def crash_after(writes: int) -> Iterator[None]:
    """Let the store fail for good before one more write than `writes`, whatever the write is."""
    left = itertools.count(writes, -1)
    real = {name: getattr(Store, name) for name in ("add", "start", "observe", "finish")}

    def failing(name: str):
        def write(*args: object) -> object:
            if next(left) <= 0:
                raise Crash
            return real[name](*args)

        return write

    with contextlib.ExitStack() as patches:
        for name in real:
            patches.enter_context(mock.patch.object(Store, name, failing(name)))
        with contextlib.suppress(Crash):
            yield


UNDISTURBED: dict[tuple[str, str], dict[str, TrialState]] = {}


def undisturbed(url: str, sampler: str, pruner: str) -> dict[str, TrialState]:
    if (sampler, pruner) not in UNDISTURBED:
        study = searched("calm", sampler, pruner)
        search = Search(url.replace("search.db", f"{sampler}-{pruner}.db"), study, "screen", screen_trials(study))
        run(search, 1)
        UNDISTURBED[sampler, pruner] = search.states()
    return UNDISTURBED[sampler, pruner]


def searched(name: str, sampler: str, pruner: str) -> Study:
    return make(name, sampler=sampler, pruner=pruner, **({} if sampler == "grid" else {"trials": 18}))


@given(writes=st.lists(st.integers(0, 110), min_size=1, max_size=2), pruner=st.sampled_from(["race", "median"]))
@on_disk
def test_a_grid_crashed_before_any_write_ends_as_if_undisturbed(url: str, writes: list[int], pruner: str):
    study = searched(f"grid{next(NAMES)}", "grid", pruner)
    search = crashed_and_continued(url, study, writes)
    assert search.states() == undisturbed(url, "grid", pruner)
    assert list(search.states()) == [trial.key for trial in screen_trials(study)]
    assert search.counts().keys() == {"complete", "pruned"}
    search.close()


@given(writes=st.lists(st.integers(0, 110), min_size=1, max_size=2), sampler=st.sampled_from(["random", "tpe"]))
@on_disk
def test_a_search_crashed_before_any_write_stays_whole_and_in_budget(
    url: str, tmp_path_factory: pytest.TempPathFactory, writes: list[int], sampler: str
):
    """Proposals are seeded by the study's name, so it is the store that is new here."""
    store = Path(tmp_path_factory.mktemp("crash")) / "search.db"
    search = crashed_and_continued(f"sqlite:///{store}", searched("calm", sampler, "none"), writes)
    assert search.states() == undisturbed(url, sampler, "none")
    assert search.counts() == {"complete": 18}
    search.close()


def crashed_and_continued(url: str, study: Study, writes: list[int]) -> Search:
    for count in writes:
        with crash_after(count):
            run(Search(url, study, "screen", screen_trials(study)), 1)
    search = Search(url, study, "screen", screen_trials(study))
    run(search, 1)
    return search


@given(
    sampler=st.sampled_from(["random", "tpe"]),
    budget=st.integers(9, 26),
    seeds=st.integers(1, 3),
    lanes=st.integers(1, 4),
)
@on_disk
def test_a_budget_is_used_up_to_a_whole_configuration_and_never_exceeded(
    url: str, sampler: str, budget: int, seeds: int, lanes: int
):
    study = make(f"budget{next(NAMES)}", sampler=sampler, trials=budget, seeds=seeds, pruner="none")
    search = Search(url, study, "screen", screen_trials(study))
    run(search, lanes)
    counts = search.counts()
    assert budget - seeds < counts["complete"] <= budget
    assert counts.keys() == {"complete"}
    assert counts["complete"] % seeds == 0
    assert search.done()
    search.close()
