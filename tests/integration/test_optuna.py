"""The search against the real Optuna: what its own tools see, and what its pruners do with our rungs."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import warnings
from pathlib import Path

import optuna
import pytest
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, create_trial
from optuna.trial import TrialState as OptunaState

from sweeper.errors import SetupError
from sweeper.planning.trials import screen_trials
from sweeper.records import TrialSpec
from sweeper.search import Search, state_counts
from sweeper.search.optuna_pruners import StockPruner, wilcoxon_eliminated
from sweeper.search.pruning import judges_of
from sweeper.search.race import Point
from sweeper.search.store import Store
from sweeper.study import Study
from sweeper.study.pruners import Pruner
from tests.integration.damage import damage


def make(**changes: object) -> Study:
    given = {
        "name": "seen",
        "question": "which?",
        "recipe": {"train": {"steps": 100}},
        "space": {"block": [0, [0, 2], "all"], "lambda": [0.01, 0.1], "tau": [0.5, 1.0]},
        "controls": [{"name": "decay", "set": {"train.weight_decay": 0.5}}],
        "screen": {"seeds": 2},
        **changes,
    }
    return Study.model_validate(given)


def start(url: str, study: Study) -> Search:
    return Search(url, study, "screen", screen_trials(study))


def run_all(search: Search) -> None:
    while batch := search.claim(1):
        fid = 20 + batch[0].cell.dispersion.lam * 10 + batch[0].cell.dispersion.tau
        search.report(batch[0].key, 50, 0, 2 * fid)
        search.report(batch[0].key, 100, 1, fid)
        search.finish(batch[0].key, "complete", fid)


def test_optuna_shows_readable_parameters_values_and_states(url: str):
    search = start(url, make())
    ends = ("complete", "pruned", "diverged", "failed")
    for end in ends:
        trial = search.claim(1)[0]
        search.report(trial.key, 50, 0, 30.0)
        search.finish(trial.key, end, 20.0 if end == "complete" else None)
    search.claim(1)
    seen = optuna.load_study(study_name="seen.screen", storage=url)
    assert seen.direction.name == "MINIMIZE"
    baseline, first, second, third, running, *waiting = seen.trials
    assert baseline.params == {"block": None, "lambda": 0.0, "tau": None, "variant": None, "seed": 0}
    assert first.params == {"block": "0", "lambda": 0.01, "tau": 0.5, "variant": "l2", "seed": 0}
    assert {trial.params["block"] for trial in seen.trials} == {None, "0", "0+2", "all"}
    assert {trial.params.get("control") for trial in seen.trials} == {None, "decay"}
    assert [trial.state for trial in (baseline, first, second, third, running)] == [
        OptunaState.COMPLETE,
        OptunaState.PRUNED,
        OptunaState.PRUNED,
        OptunaState.FAIL,
        OptunaState.RUNNING,
    ]
    assert (baseline.value, baseline.intermediate_values) == (20.0, {50: 30.0})
    assert (first.value, second.value) == (30.0, None)
    assert second.user_attrs["outcome"] == "diverged"
    assert {trial.state for trial in waiting} == {OptunaState.WAITING}
    assert TrialSpec.model_validate_json(first.user_attrs["spec"]).key == first.user_attrs["key"]


def test_optunas_importances_cover_every_knob(url: str):
    run_all(start(url, make()))
    seen = optuna.load_study(study_name="seen.screen", storage=url)
    everywhere = {"block", "lambda", "tau", "variant", "seed"}
    assert optuna.importance.get_param_importances(seen).keys() == {*everywhere, "control"}
    fanova = optuna.importance.FanovaImportanceEvaluator(seed=0, n_trees=8)
    assert optuna.importance.get_param_importances(seen, evaluator=fanova).keys() == everywhere


def test_a_drawn_knob_is_continuous_on_its_own_scale_and_absent_from_the_baseline(url: str):
    space = {"block": [0], "lambda": {"low": 0.001, "high": 1.0, "count": 5}, "tau": [0.5]}
    marked = [{"label": "odd", "block": 1, "lambda": 3.0, "tau": 2.0}]
    run_all(start(url, make(space=space, cells=marked, screen={"seeds": 2, "sampler": "random", "trials": 12})))
    baseline, odd, *_ = optuna.load_study(study_name="seen.screen", storage=url).trials
    assert "lambda" not in baseline.params
    assert odd.params["lambda"] == 3.0
    assert odd.distributions["lambda"] == optuna.distributions.FloatDistribution(0.001, 3.0, log=True)


def test_connections_use_wal_without_waiting_for_the_disk(url: str):
    store = Store(url, "pragmas")
    with store._storage.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 1  # NORMAL
    store.close()


def test_counts_agree_with_optunas_own_while_the_coordinator_writes(url: str):
    search = start(url, make())
    for trial, end in zip(search.claim(4), ("complete", "pruned", "diverged", "failed"), strict=True):
        search.report(trial.key, 50, 0, 30.0)
        search.finish(trial.key, end, 20.0 if end == "complete" else None)
    search.claim(1)
    counts = state_counts(url, "seen")["screen"]
    assert counts == search.counts()
    own = [trial.state.name for trial in optuna.load_study(study_name="seen.screen", storage=url).trials]
    assert counts["pruned"] + counts["diverged"] == own.count("PRUNED")
    assert (counts["complete"], counts["failed"]) == (own.count("COMPLETE"), own.count("FAIL"))
    assert (counts["running"], counts["waiting"]) == (own.count("RUNNING"), own.count("WAITING"))


def test_counting_works_from_another_process_while_a_write_is_open_and_changes_nothing(url: str, tmp_path: Path):
    search = start(url, make())
    writer = sqlite3.connect(tmp_path / "search.db", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    script = f"from sweeper.search import state_counts; print(state_counts({url!r}, 'seen'))"
    told = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=60)
    writer.execute("ROLLBACK")
    assert told.stdout.strip() == str({"screen": search.counts()})
    assert told.stderr == ""


def test_counting_a_data_base_that_is_not_a_store_says_so(tmp_path: Path):
    (tmp_path / "text.db").write_text("this is no data base, but long enough to look at" * 50)
    with pytest.raises(SetupError, match=r"cannot be read: file is not a database"):
        state_counts(f"sqlite:///{tmp_path}/text.db", "seen")
    sqlite3.connect(tmp_path / "other.db").execute("CREATE TABLE other (x)")
    with pytest.raises(SetupError, match="holds other, which is not Optuna's"):
        state_counts(f"sqlite:///{tmp_path}/other.db", "seen")


@pytest.mark.parametrize("table", ["studies", "trials"])
def test_a_damaged_store_is_a_fault_of_the_environment_told_in_one_line(url: str, tmp_path: Path, table: str):
    run_all(search := start(url, make()))
    search.close()
    damage(tmp_path / "search.db", table)
    with pytest.raises(SetupError, match=r"cannot be read: .*malformed") as counting:
        state_counts(url, "seen")
    with pytest.raises(SetupError, match=r"cannot be read: .*malformed") as opening:
        start(url, make())
    assert "\n" not in counting.value.message + opening.value.message


def test_a_trial_that_someone_else_changed_is_a_fault_of_the_environment(url: str, tmp_path: Path):
    start(url, make()).close()
    connection = sqlite3.connect(tmp_path / "search.db")
    connection.execute("UPDATE trial_user_attributes SET value_json = '\"{}\"' WHERE key = 'spec'")
    connection.commit()
    connection.close()
    with pytest.raises(SetupError, match="cannot be read"):
        start(url, make())


def test_other_studies_in_the_same_store_are_left_alone(url: str):
    foreign = optuna.create_study(study_name="foreign", storage=url)
    foreign.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    search = start(url, make())
    assert search.counts() == {"waiting": len(screen_trials(make()))}
    assert len(optuna.load_study(study_name="foreign", storage=url).trials) == 2


@pytest.mark.parametrize("pruner", ["race", "median", "halving", "hyperband", "wilcoxon"])
def test_optuna_is_silent(url: str, capfd: pytest.CaptureFixture[str], pruner: str):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        search = start(url, make(screen={"seeds": 3, "pruner": pruner}))
        while batch := search.claim(1):
            search.report(batch[0].key, 50, 0, 20.0)
            search.judge([batch[0].key])
            search.finish(batch[0].key, "complete", 20.0)
        search.close()
    assert capfd.readouterr() == ("", "")


def verdicts(pruner: StockPruner, values: dict[int, float]) -> set[int]:
    """Report one rung for several trials, then judge them."""
    for number, value in values.items():
        pruner.observe(number, 0, value)
    return {number for number in values if pruner.dooms(number)}


EIGHT = {number: 20.0 + number for number in range(8)}


def stock(name: Pruner, rungs: int) -> StockPruner:
    made = judges_of(name, [1.0] * rungs, "any").stock
    assert made is not None
    return made


@pytest.mark.parametrize("order", [range(8), reversed(range(8))], ids=["best first", "worst first"])
def test_halving_keeps_the_better_half_whatever_the_order(order):
    """Asked trial by trial, Optuna keeps 1 or 8 of the 8."""
    pruner = stock("halving", 2)
    assert verdicts(pruner, {number: EIGHT[number] for number in order}) == {4, 5, 6, 7}


def test_halving_halves_again_at_every_rung_but_the_last():
    pruner = stock("halving", 3)
    for number in range(8):
        if number not in verdicts(pruner, {number: EIGHT[number]}):
            pruner.observe(number, 1, EIGHT[number])
    for number in (0, 1, 2, 3):
        pruner.observe(number, 1, EIGHT[number])
    assert [number for number in range(4) if pruner.dooms(number)] == [2, 3]
    for number in range(2):
        pruner.observe(number, 2, 500.0)
        assert not pruner.dooms(number)


def test_hyperband_gives_its_last_bracket_a_free_run():
    pruner = stock("hyperband", 2)
    values = {number: 20.0 + number for number in range(40)}
    doomed = verdicts(pruner, values)
    halving = stock("halving", 2)
    assert doomed
    assert doomed < verdicts(halving, values) | set(range(40))
    # Two brackets: one halves, the other never stops; both hold bad trials.
    assert 0 < sum(number in doomed for number in range(30, 40)) < 10


def test_median_needs_five_complete_trials():
    pruner = stock("median", 2)
    for number in range(5):
        assert verdicts(pruner, {number: 20.0}) == set()
        assert verdicts(pruner, {9: 99.0}) == set() or number == 5
        pruner.observe(number, 1, 10.0)
        pruner.finish(number, "complete", 10.0)
    assert verdicts(pruner, {6: 21.0, 7: 19.0}) == {6}


@pytest.mark.parametrize(("seeds", "eliminated"), [(2, frozenset()), (3, frozenset({"worse"}))])
def test_wilcoxon_pairs_seeds_and_needs_three(seeds: int, eliminated: frozenset[str]):
    """Seeds differ far more than the configurations do: only the pairing tells them apart."""
    level = (10.0, 40.0, 90.0)
    values = {Point("best", seed, 0): level[seed] for seed in range(seeds)}
    values |= {Point("worse", seed, 0): level[seed] * 1.02 for seed in range(seeds)}
    values |= {Point("baseline", seed, 0): level[seed] * 9 for seed in range(seeds)}
    assert wilcoxon_eliminated(values, (0.5, 1.0)) == eliminated


def test_wilcoxon_does_not_give_up_who_wins_on_one_seed():
    values = {Point("a", seed, 0): 20.0 for seed in range(3)}
    values |= {Point("b", seed, 0): fid for seed, fid in enumerate((90.0, 90.0, 19.0))}
    assert wilcoxon_eliminated(values, (0.5, 1.0)) == frozenset()


@pytest.mark.parametrize("other_tables", [False, True])
def test_trials_lie_in_the_store_as_optuna_itself_would_have_written_them(
    url: str, other_tables: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """They are inserted many at once, past Optuna's own way, where its tables are known: search/bulk_insert.py."""
    if other_tables:
        monkeypatch.setitem(sys.modules, "optuna.storages._rdb", None)
    with caplog.at_level("INFO"):
        start(url, make()).close()
    assert ("one by one" in caplog.text) == other_tables
    monkeypatch.undo()
    storage = RDBStorage(url)
    ours = optuna.load_study(study_name="seen.screen", storage=storage).get_trials()
    own = optuna.create_study(study_name="own", storage=storage)
    for trial in ours:
        own.add_trial(create_trial(**{name: getattr(trial, name) for name in GIVEN}))
    ids = {"_trial_id"}
    assert [_but(trial, ids) for trial in ours] == [_but(trial, ids) for trial in own.get_trials()]
    assert len({trial._trial_id for trial in ours}) == len(ours) == len(screen_trials(make()))


GIVEN = ("state", "params", "distributions", "user_attrs")


def _but(trial: FrozenTrial, names: set[str]) -> dict[str, object]:
    return {name: value for name, value in vars(trial).items() if name not in names}
