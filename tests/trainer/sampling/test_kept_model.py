"""Weights that outlive their study: written, read, drawn from, scored again, and trained on."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.trainer.torchscript_trap import TorchScriptTrap
from trainer.data.dataset import Dataset
from trainer.errors import DataError
from trainer.evaluation.evaluator import Evaluator
from trainer.recipe import Dispersion, EvalRecipe, Lane, Recipe, SiTRecipe, TrainRecipe
from trainer.sampling import kept_model as kept
from trainer.sampling.kept_model import Kept, Origin
from trainer.sampling.rescoring import rescored
from trainer.training.cohort import Cohort

CPU = torch.device("cpu")
LANE = Lane(Dispersion(blocks=(1,), lam=0.1, tau=0.5), 3)
RECIPE = Recipe(
    model=SiTRecipe(width=16, depth=2, heads=2),
    train=TrainRecipe(steps=8, batch=8, warmup=2),
    eval=EvalRecipe(samples=110, batch=50, nfe=2, probe=16),
)


@pytest.fixture(scope="module")
def trained(digits: Dataset, extractor_cache: Path) -> Cohort:
    cohort = Cohort(RECIPE, [LANE], digits, CPU, Evaluator(RECIPE.eval, digits, extractor_cache, CPU))
    cohort.advance(8)
    return cohort


@pytest.fixture
def file(trained: Cohort, digits: Dataset, tmp_path: Path) -> Path:
    origin = Origin(
        trial="confirm.x.3",
        recipe=RECIPE,
        recipe_hash=RECIPE.hash,
        dispersion=LANE.setting,
        seed=LANE.seed,
        step=8,
        data_hash=digits.hash,
        device="cpu",
        shape=digits.shape,
        classes=digits.classes,
        pixels=digits.pixels,
    )
    path = tmp_path / "weights.safetensors"
    kept.save(path, origin, trained.published(0))
    return path


def read(path: Path) -> Kept:
    return kept.read(path.read_bytes(), path.name)


def test_a_file_says_what_it_is_and_where_the_public_code_differs(file, digits):
    found = read(file)
    assert (found.origin.recipe, found.origin.dispersion, found.origin.step) == (RECIPE, LANE.setting, 8)
    assert found.origin.data_hash == digits.hash
    assert b"learn_sigma as objective.learned_variance (False without it)" in file.read_bytes()


def test_its_samples_are_those_the_trial_was_scored_by_bit_for_bit(file, trained):
    (measured,) = trained.measure()
    assert torch.equal(read(file).draw(40, CPU), measured.grid)
    # Of a whole number of samples, the last batch is a part of one.
    assert torch.equal(read(file).draw(110, CPU), trained.draw(0, 110))
    assert len(read(file).draw(111, CPU)) == 111


def test_samples_of_chosen_labels_and_another_seed_are_others(file):
    found = read(file)
    plain, sevens, other = found.draw(10, CPU), found.draw(10, CPU, labels=[7]), found.draw(10, CPU, seed=4)
    assert torch.allclose(plain[7], sevens[7], atol=1e-6)
    assert not torch.allclose(plain[6], sevens[6], atol=1e-6)
    assert not torch.allclose(plain, other, atol=1e-3)


def test_the_figures_of_kept_weights_are_the_recorded_ones_and_new_ones_can_be_added(
    file, trained, digits, extractor_cache
):
    recorded = trained.measure()[0].metrics
    again = rescored(read(file), Evaluator(RECIPE.eval, digits, extractor_cache, CPU))
    assert "fid_110" in again
    assert "val_loss" in again
    assert all(recorded[name] == value for name, value in again.items())
    more = RECIPE.override({"eval.samples": 120, "eval.solver": "heun"}).eval
    assert rescored(read(file), Evaluator(more, digits, extractor_cache, CPU))["fid_120"] > 0


def test_weights_are_not_scored_against_other_data(file, digits, extractor_cache):
    evaluator = Evaluator(RECIPE.eval, replace(digits, hash="other"), extractor_cache, CPU)
    with pytest.raises(DataError, match=r"confirm\.x\.3 was trained on data with hash"):
        rescored(read(file), evaluator)


@pytest.mark.parametrize("at", [40, -5])  # in the words, in the numbers
def test_a_changed_byte_is_noticed(file, at):
    content = bytearray(file.read_bytes())
    content[at] ^= 1
    with pytest.raises(DataError, match=r"weights"):
        kept.read(bytes(content), "weights")


@pytest.mark.parametrize("content", [b"", b"{}", b"\x02\0\0\0\0\0\0\0{}", b"\xff" * 100, b"[" * 100_000])
def test_whatever_is_not_a_file_of_ours_is_refused(content):
    with pytest.raises(DataError, match=r"x: not a file of kept weights"):
        kept.read(content, "x")


def started(digits: Dataset, evaluator: Evaluator, path: Path, **changes: object) -> Cohort:
    lanes = [Lane(Dispersion(), 0), Lane(Dispersion(lam=0.1), 1)]
    recipe = RECIPE.override({"model.init": str(path), **changes})
    return Cohort(recipe, lanes, digits, CPU, evaluator)


def test_all_lanes_can_start_from_a_kept_file(file, trained, digits, evaluator):
    cohort = started(digits, evaluator, file)
    average = trained.state_dict()["ema"][0]
    assert all(torch.equal(lane, average) for state in ("weights", "ema") for lane in cohort.state_dict()[state])
    assert len(cohort.init_sha256) == 64
    cohort.advance(2)
    assert not torch.equal(*cohort.state_dict()["weights"])


@pytest.mark.parametrize("within", ["ema", "model", None])
def test_all_lanes_can_start_from_a_published_checkpoint(trained, digits, evaluator, tmp_path, within):
    state = trained.published(0)
    checkpoint = {within: state, "opt": {"state": {}}, "args": argparse.Namespace(lr=1e-4)} if within else state
    torch.save(checkpoint, tmp_path / "published.pt")
    cohort = started(digits, evaluator, tmp_path / "published.pt", **{"train.time_scale": 1.0})
    assert torch.equal(cohort.state_dict()["weights"][0], trained.state_dict()["ema"][0])


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"objective.predicts": "noise"}, r"its objective.predicts is velocity, the study's noise; set it to that"),
        ({"train.time_scale": 1.0}, r"its train.time_scale is 1000, the study's 1; set it to that"),
        ({"model.depth": 3}, r"not a SiT of depth 3: blocks.2\..* is missing"),
        ({"model.width": 8}, r"has the shape \[.*\], not the expected \[.*\]"),
        ({"model.init": "nowhere.pt"}, r"nowhere.pt: no such file; give recipe.model.init a file of weights"),
    ],
)
def test_a_start_that_does_not_fit_is_refused_in_one_line(file, digits, evaluator, changes, says):
    with pytest.raises(DataError, match=says) as refused:
        started(digits, evaluator, file, **changes)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("objective", "says"),
    [
        (
            {"kind": "diffusion", "steps": 500, "learned_variance": False},
            "its objective.steps is 1000, the study's 500",
        ),
        ({"kind": "edm", "sigma_data": 0.8}, "its objective.sigma_data is 0.5, the study's 0.8"),
    ],
)
def test_a_published_start_is_taken_to_have_the_public_codes_settings(
    trained, digits, evaluator, tmp_path, objective, says
):
    torch.save(trained.published(0), tmp_path / "published.pt")
    given = RECIPE.model_dump(exclude={"objective": True, "train": {"time_scale"}, "eval": {"solver"}})
    recipe = Recipe.model_validate({**given, "objective": objective}).override(
        {"model.init": str(tmp_path / "published.pt")}
    )
    with pytest.raises(DataError, match=says):
        Cohort(recipe, [LANE], digits, CPU, evaluator)


def test_nothing_in_a_file_that_training_starts_from_is_run(digits, evaluator, tmp_path):
    target = tmp_path / "written"
    target.write_bytes(b"as it was")
    torch.jit.script(TorchScriptTrap(str(target))).save(tmp_path / "trap.pt")
    torch.save(Path("x"), tmp_path / "pickle.pt")
    for name in ("trap.pt", "pickle.pt"):
        with pytest.raises(DataError):
            started(digits, evaluator, tmp_path / name)
    assert target.read_bytes() == b"as it was"


def test_a_recipe_that_starts_anew_has_the_hash_it_always_had():
    assert Recipe().hash != RECIPE.override({"model.init": "x.pt"}).hash
    assert Recipe().hash == "642a8255d40bbfc5"
