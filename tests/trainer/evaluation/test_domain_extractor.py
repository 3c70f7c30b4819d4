from __future__ import annotations

from pathlib import Path

import pytest
import torch

from trainer.data.dataset import Dataset, load
from trainer.evaluation.domain_extractor import DomainNet, domain_extractor, weights_sha256
from trainer.evaluation.evaluator import Evaluator
from trainer.recipe import DataRecipe


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty steps of training, where what is learnt does not matter."""
    monkeypatch.setattr("trainer.evaluation.domain_extractor.STEPS", (20, 20))


def test_the_digits_extractor_knows_about_99_percent_of_held_out_digits(evaluator: Evaluator) -> None:
    assert evaluator.extractor.accuracy is not None
    assert evaluator.extractor.accuracy > 0.98


@pytest.mark.usefixtures("brief")
def test_training_again_gives_the_same_weights_whatever_the_threads_and_global_seed(
    digits: Dataset, tmp_path: Path
) -> None:
    first = domain_extractor(digits, tmp_path / "a")
    torch.manual_seed(1234)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        second = domain_extractor(digits, tmp_path / "b")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert first.sha256 == second.sha256
    assert torch.get_rng_state().equal(before)


@pytest.mark.usefixtures("brief")
def test_the_extractor_is_trained_once_and_does_not_depend_on_the_limit(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = domain_extractor(digits, tmp_path)
    monkeypatch.setattr("trainer.evaluation.domain_extractor.train_net", None)
    assert domain_extractor(load(DataRecipe(limit=20)), tmp_path).sha256 == made.sha256


@pytest.mark.usefixtures("brief")
def test_a_flipped_bit_in_the_cached_weights_is_noticed_and_they_are_trained_again(
    digits: Dataset, tmp_path: Path
) -> None:
    made = domain_extractor(digits, tmp_path)
    (file,) = tmp_path.glob("domain-*.safetensors")
    content = bytearray(file.read_bytes())
    content[-100] ^= 1
    file.write_bytes(content)
    assert domain_extractor(digits, tmp_path).sha256 == made.sha256
    assert file.read_bytes() != content


def test_the_hash_of_weights_sees_a_changed_weight_and_a_changed_name() -> None:
    state = {"a": torch.zeros(2, 3), "b": torch.ones(1)}
    hashes = {weights_sha256(state), weights_sha256({**state, "b": torch.zeros(1)})}
    hashes |= {weights_sha256({"c": state["a"], "b": state["b"]}), weights_sha256({**state, "a": torch.zeros(3, 2)})}
    assert len(hashes) == 4


@pytest.mark.parametrize("shape", [(1, 2, 2), (1, 8, 8), (3, 28, 20), (4, 32, 32), (3, 256, 256)])
def test_images_of_any_size_give_64_features(shape: tuple[int, int, int]) -> None:
    with torch.no_grad():
        assert DomainNet(shape, classes=3)(torch.zeros(2, *shape)).shape == (2, 64)
