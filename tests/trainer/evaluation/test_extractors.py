from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.trainer.torchscript_trap import TorchScriptTrap
from trainer.data.dataset import Dataset
from trainer.errors import DataError
from trainer.evaluation.evaluator import Evaluator
from trainer.evaluation.extractors import Extractor, dequantise, load_extractor, quantise
from trainer.evaluation.torch_fidelity import torch_fidelity
from trainer.recipe import EvalRecipe

CPU = torch.device("cpu")


def weights_recipe(extractor: str, weights: Path) -> EvalRecipe:
    return EvalRecipe(extractor=extractor, weights=str(weights))


@pytest.fixture(scope="module")
def inception_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights in the shape of torch-fidelity's Inception."""
    torch_fidelity()
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    path = tmp_path_factory.mktemp("weights") / "inception.pth"
    with pytest.MonkeyPatch.context() as patch, torch.random.fork_rng():
        torch.manual_seed(0)
        # The constructor insists on loading weights; here it keeps those it was initialised with.
        patch.setattr(FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None)
        patch.setattr("torch_fidelity.feature_extractor_inceptionv3.load_state_dict_from_url", lambda *_, **__: {})
        fresh = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"])
    torch.save(fresh.state_dict(), path)
    return path


def clip_state() -> dict[str, torch.Tensor]:
    """Weights in the shape of OpenAI's CLIP, tiny and random: 16 x 16 pixels, one block."""
    torch_fidelity()
    from torch_fidelity.feature_extractor_clip import CLIPVisual

    visual = CLIPVisual(32, 16, 1, 64, 8).visual.state_dict()
    random = torch.Generator().manual_seed(0)
    state = {f"visual.{name}": torch.randn(weight.shape, generator=random) * 0.1 for name, weight in visual.items()}
    return state | {"text_projection": torch.zeros(8, 32)}


def clip_file(path: Path) -> Path:
    torch.save(clip_state(), path)
    return path


def clip_safetensors(path: Path) -> Path:
    save_file(clip_state(), path)
    return path


def clip_archive(path: Path) -> Path:
    """The same weights as OpenAI gives them: a TorchScript archive."""

    class Archive(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for name, weight in clip_state().items():
                *parents, leaf = name.split(".")
                module: torch.nn.Module = self
                for parent in parents:
                    if not hasattr(module, parent):
                        module.add_module(parent, torch.nn.Module())
                    module = getattr(module, parent)
                module.register_parameter(leaf, torch.nn.Parameter(weight))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    torch.jit.trace(Archive(), torch.zeros(1)).save(str(path))
    return path


def dinov2_file(path: Path) -> Path:
    from trainer.evaluation.dinov2 import DinoV2

    net = DinoV2(width=64, depth=1, patch=14, positions=1 + 9, hidden=128, gated=False)
    torch.save({name: torch.randn_like(weight) * 0.1 for name, weight in net.state_dict().items()}, path)
    return path


def test_pixels_are_rounded_to_the_nearest_of_256_levels_and_clipped() -> None:
    x = torch.tensor([-3.0, -1.0, -0.9999, 0.0, 1 / 255 - 1e-4, 1.0, 5.0])
    assert quantise(x).tolist() == [0, 0, 0, 128, 128, 255, 255]
    levels = torch.arange(256, dtype=torch.uint8)
    assert quantise(dequantise(levels)).equal(levels)


def test_the_domain_extractor_sees_pixels_as_an_image_file_would_hold_them(evaluator: Evaluator) -> None:
    images = dequantise(quantise(evaluator.data.held_images[:20]))
    nudged = (images * 1.0001 + 1e-4).clone()
    assert evaluator.extractor(nudged).equal(evaluator.extractor(images))


def test_features_are_computed_without_tf32_and_its_switch_is_put_back() -> None:
    seen = []

    def net(images: torch.Tensor) -> torch.Tensor:
        seen.append((torch.backends.cudnn.enabled, torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark))
        return images.flatten(1)

    before = torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark
    assert before[0]  # cuDNN's default, without which this test says nothing
    Extractor("any", "0", 16, False, CPU, net)(torch.zeros(2, 1, 4, 4))
    assert seen == [(True, False, False)]
    assert (torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark) == before


def test_features_do_not_depend_on_the_batch(evaluator: Evaluator) -> None:
    images = evaluator.data.held_images[:]
    one_by_one = torch.cat([evaluator.extractor(image[None]) for image in images[:8]])
    torch.testing.assert_close(one_by_one, evaluator.extractor(images)[:8], rtol=1e-5, atol=1e-5)
    assert evaluator.extractor(images).shape == (359, 64)


def test_inception_scores_grey_digits_with_the_users_weights(
    digits: Dataset, inception_file: Path, tmp_path: Path
) -> None:
    extractor = load_extractor(weights_recipe("inception", inception_file), digits, tmp_path, CPU)
    assert (extractor.name, extractor.dim) == ("inception", 2048)
    assert extractor.sha256 == hashlib.sha256(inception_file.read_bytes()).hexdigest()
    images = digits.held_images[:2]
    features = extractor(images)
    assert features.shape == (2, 2048)
    assert features.dtype == torch.float32
    assert not features[0].equal(features[1])
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    theirs = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], str(inception_file))
    torch.testing.assert_close(features, theirs(quantise(images).repeat(1, 3, 1, 1))[0])


@pytest.mark.parametrize(
    ("name", "make", "dim"), [("clip", clip_file, 32), ("clip", clip_safetensors, 32), ("dinov2", dinov2_file, 64)]
)
def test_clip_and_dinov2_take_their_size_from_the_weight_file(
    name: str, make, dim: int, digits: Dataset, tmp_path: Path
) -> None:
    extractor = load_extractor(weights_recipe(name, make(tmp_path / "weights")), digits, tmp_path, CPU)
    features = extractor(digits.held_images[:3])
    assert extractor.dim == dim
    assert features.shape == (3, dim)
    assert features.isfinite().all()
    assert not features[0].equal(features[1])


@pytest.mark.parametrize("name", ["inception", "clip", "dinov2"])
def test_a_weight_file_that_is_missing_or_another_models_is_told_in_one_line(
    name: str, digits: Dataset, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=rf"absent\.pth: no such file; give eval\.weights the weight file of '{name}'"):
        load_extractor(weights_recipe(name, tmp_path / "absent.pth"), digits, tmp_path, CPU)
    torch.save({"layer.weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(DataError, match=rf"other\.pth: not a weight file of '{name}'") as caught:
        load_extractor(weights_recipe(name, tmp_path / "other.pth"), digits, tmp_path, CPU)
    assert "\n" not in str(caught.value)


def test_a_weight_file_that_would_run_code_is_refused_unread(digits: Dataset, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (open, (str(tmp_path / "sprung"), "w"))

    torch.save({"layer.weight": Trap()}, tmp_path / "trap.pth")
    with pytest.raises(DataError, match="not a weight file of 'inception'"):
        load_extractor(weights_recipe("inception", tmp_path / "trap.pth"), digits, tmp_path, CPU)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("name", ["inception", "clip", "dinov2"])
def test_a_torchscript_archive_is_refused_unread_and_the_remedy_said(
    name: str, digits: Dataset, tmp_path: Path
) -> None:
    trap, sprung = tmp_path / "trap.pt", tmp_path / "sprung"
    torch.jit.script(TorchScriptTrap(str(sprung))).save(str(trap))
    with pytest.raises(DataError, match=r"trap\.pt: a TorchScript archive, .* torch\.save\(torch\.jit\.load") as caught:
        load_extractor(weights_recipe(name, trap), digits, tmp_path, CPU)
    assert "\n" not in str(caught.value)
    assert not sprung.exists()
    torch.jit.load(str(trap))
    assert sprung.exists()  # else this test says nothing


def test_clip_from_a_state_dict_is_torch_fidelitys_clip_from_the_archive(digits: Dataset, tmp_path: Path) -> None:
    extractor = load_extractor(weights_recipe("clip", clip_file(tmp_path / "plain.pt")), digits, tmp_path, CPU)
    from torch_fidelity.feature_extractor_clip import FeatureExtractorCLIP

    archive = clip_archive(tmp_path / "archive.pt")
    theirs = FeatureExtractorCLIP("clip-vit-b-32", ["clip"], feature_extractor_weights_path=str(archive))
    images = digits.held_images[:3]
    assert extractor(images).equal(theirs(quantise(images).repeat(1, 3, 1, 1))[0])


def test_weights_that_are_swapped_after_they_were_read_are_never_loaded(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights, sound = tmp_path / "weights.pt", clip_file(tmp_path / "sound.pt")
    weights.symlink_to(sound)
    read = Path.read_bytes

    def read_and_swap(path: Path) -> bytes:
        content = read(path)
        weights.unlink()
        weights.write_bytes(b"something else")
        return content

    monkeypatch.setattr(Path, "read_bytes", read_and_swap)
    extractor = load_extractor(weights_recipe("clip", weights), digits, tmp_path, CPU)
    monkeypatch.undo()
    assert weights.read_bytes() == b"something else"
    assert extractor.sha256 == hashlib.sha256(sound.read_bytes()).hexdigest()


def test_pixel_extractors_refuse_latents(digits: Dataset, tmp_path: Path) -> None:
    latents = dataclasses.replace(digits, pixels=False)
    with pytest.raises(DataError, match="'inception' looks at pixels and 'digits' holds latents; use extractor"):
        load_extractor(weights_recipe("inception", tmp_path / "any.pth"), latents, tmp_path, CPU)
