"""ADM's reference statistics: small stand-ins with the arrays of VIRTUAL_imagenet256_labeled.npz."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from trainer.data.dataset import Dataset
from trainer.errors import DataError
from trainer.evaluation import references
from trainer.evaluation.evaluator import Evaluator
from trainer.evaluation.extractors import Extractor, Seen
from trainer.evaluation.reference_file import ReferenceFile
from trainer.evaluation.torch_fidelity import frechet_distance
from trainer.recipe import EvalRecipe

CPU = torch.device("cpu")
DIM, SPATIAL, SAMPLES = 6, 4, 60


def look(images: Tensor) -> Seen:
    """Stand in for Inception: linear in the image's mean over channels, which is [B, 8, 8]."""
    random = torch.Generator().manual_seed(0)
    pixels = images.float().mean(1).flatten(1) / 255
    pixels = torch.nn.functional.adaptive_avg_pool1d(pixels[:, None], 64)[:, 0]
    features = pixels @ torch.randn(64, DIM, generator=random)
    return Seen(features, features[:, :SPATIAL] * 2, features)


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_: object) -> Extractor:
        return Extractor("inception", "5" * 64, DIM, True, CPU, lambda images: look(images).features, whole=look)

    monkeypatch.setattr("trainer.evaluation.evaluator.load_extractor", load)


def moments(dim: int, seed: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    x = np.random.RandomState(seed).randn(50, dim)
    return x.mean(0), np.cov(x, rowvar=False)


def images(count: int = 40) -> npt.NDArray[np.uint8]:
    return np.random.RandomState(3).randint(0, 256, (count, 8, 8, 3)).astype(np.uint8)


def arrays(*names: str) -> dict[str, npt.NDArray[np.generic]]:
    (mu, sigma), (mu_s, sigma_s) = moments(DIM, 0), moments(SPATIAL, 1)
    known = {"mu": mu, "sigma": sigma, "mu_s": mu_s.astype(np.float32), "sigma_s": sigma_s, "arr_0": images()}
    return {name: known[name] for name in names}


def evaluator(digits: Dataset, tmp_path: Path, *names: str) -> Evaluator:
    np.savez(tmp_path / "reference.npz", **arrays(*names))
    path = str(tmp_path / "reference.npz")
    recipe = EvalRecipe(samples=SAMPLES, extractor="inception", weights="w", reference=path)
    return Evaluator(recipe, digits, tmp_path, CPU)


def scored(one: Evaluator) -> dict[str, float]:
    tally = one.tally(1, final=True)
    tally.add(one.data.held_images[:SAMPLES][None])
    return tally.metrics()[0]


OF_IMAGES = {"kid_60", "precision_60", "recall_60", "density_60", "coverage_60"}
ALWAYS = {"fid_60", "vendi_60", "inception_score_60", "nearest_train", "nearest_train_ratio"}


def test_moments_are_taken_as_they_are_and_what_needs_images_is_absent_without_them(
    digits: Dataset, tmp_path: Path
) -> None:
    one = evaluator(digits, tmp_path, "mu", "sigma", "mu_s", "sigma_s")
    found = scored(one)
    assert found.keys() == ALWAYS | {"sfid_60"}
    seen, given = one.extractor.look(digits.held_images[:SAMPLES]), arrays("mu", "sigma", "mu_s", "sigma_s")
    tensors = {name: torch.from_numpy(array.astype(np.float64)) for name, array in given.items()}
    assert found["fid_60"] == pytest.approx(frechet_distance(seen.features, tensors["mu"], tensors["sigma"]), rel=1e-6)
    assert seen.spatial is not None
    spatial = frechet_distance(seen.spatial, tensors["mu_s"], tensors["sigma_s"])
    assert found["sfid_60"] == pytest.approx(spatial, rel=1e-6)
    assert one.check_against_torch_fidelity(digits.held_images[:SAMPLES]) < 1e-6


def test_without_spatial_moments_and_images_there_is_no_sfid(digits: Dataset, tmp_path: Path) -> None:
    assert scored(evaluator(digits, tmp_path, "mu", "sigma")).keys() == ALWAYS


@pytest.mark.parametrize("at_once", [7, 250])
def test_images_give_what_moments_cannot_and_the_moments_stay_the_files(
    digits: Dataset, tmp_path: Path, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(references, "AT_ONCE", at_once)
    one = evaluator(digits, tmp_path, "mu", "sigma", "arr_0")
    found = scored(one)
    assert found.keys() == ALWAYS | OF_IMAGES | {"sfid_60"}
    assert one.references.gaussian.mean.numpy() == pytest.approx(moments(DIM, 0)[0])
    seen = look(torch.from_numpy(images()).permute(0, 3, 1, 2))
    torch.testing.assert_close(one.reference_features, seen.features)
    assert seen.spatial is not None
    torch.testing.assert_close(one.spatial_reference.mean, seen.spatial.double().mean(0))


def test_images_alone_give_the_moments_too_as_in_adms_evaluator(digits: Dataset, tmp_path: Path) -> None:
    one = evaluator(digits, tmp_path, "arr_0")
    features = look(torch.from_numpy(images()).permute(0, 3, 1, 2)).features.double()
    torch.testing.assert_close(one.references.gaussian.covariance, features.T.cov())


def test_the_files_hash_is_the_evaluators_and_names_what_is_cached(digits: Dataset, tmp_path: Path) -> None:
    one = evaluator(digits, tmp_path, "mu", "sigma")
    sha256 = hashlib.sha256((tmp_path / "reference.npz").read_bytes()).hexdigest()
    assert one.reference_sha256 == sha256
    assert one.references
    assert list(tmp_path.glob(f"reference-file-v*-{sha256[:16]}-{'5' * 16}.safetensors"))
    assert Evaluator(EvalRecipe(), digits, tmp_path, CPU).reference_sha256 == ""


def test_what_was_hashed_is_read_though_the_path_leads_elsewhere_meanwhile(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **arrays("mu", "sigma"))
    np.savez(tmp_path / "b.npz", mu=np.zeros(DIM), sigma=np.zeros((DIM, DIM)))
    file = ReferenceFile(tmp_path / "a.npz")
    (tmp_path / "b.npz").replace(tmp_path / "a.npz")
    found = file.gaussian(("mu", "sigma"), DIM)
    assert found is not None
    assert found.mean.numpy() == pytest.approx(moments(DIM, 0)[0])


def write(path: Path, **given: npt.NDArray[np.generic]) -> Path:
    np.savez(path, **given)
    return path


def test_a_file_that_is_no_reference_is_refused_in_one_line_with_a_remedy(digits: Dataset, tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("no archive")
    with zipfile.ZipFile(tmp_path / "torn.npz", "w") as archive:
        archive.writestr("mu.npy", "torn")
        archive.writestr("sigma.npy", "torn")
    mu, sigma = moments(DIM, 0)
    cases = {
        tmp_path / "absent.npz": "no such file",
        tmp_path / "text.npz": "not a readable npz",
        tmp_path / "torn.npz": "mu cannot be read",
        write(tmp_path / "other.npz", x=mu): r"has arrays \['x'\]",
        write(tmp_path / "small.npz", mu=mu[:2], sigma=sigma[:2, :2]): r"mu \[2\] and sigma \[2, 2\].* 6 dimensions",
        write(tmp_path / "nan.npz", mu=mu * np.nan, sigma=sigma): "not finite",
        write(tmp_path / "pickled.npz", mu=np.array([{}], dtype=object), sigma=sigma): "mu cannot be read",
        write(tmp_path / "empty.npz", arr_0=images()[:0]): r"arr_0 holds 0 image\(s\), which have no spread",
        write(tmp_path / "grey.npz", arr_0=images()[..., 0]): r"arr_0 is uint8 \[40, 8, 8\]; it must be uint8",
        write(tmp_path / "float.npz", arr_0=images() / 255): "arr_0 is float64",
    }
    for path, said in cases.items():
        recipe = EvalRecipe(samples=SAMPLES, extractor="inception", weights="w", reference=str(path))
        with pytest.raises(DataError, match=rf"{path.name}: .*{said}") as caught:
            assert Evaluator(recipe, digits, tmp_path, CPU).references
        assert "\n" not in str(caught.value)


def test_a_reference_is_for_inception_alone() -> None:
    with pytest.raises(ValidationError, match="reference holds Inception's statistics; extractor must be inception"):
        EvalRecipe(reference="reference.npz")
