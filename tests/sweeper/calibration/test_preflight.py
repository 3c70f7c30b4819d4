"""What is found out before anything is started."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sweeper.calibration.preflight import check_fit
from sweeper.errors import DataError, SetupError, StudyError
from tests.sweeper.guide.study_records import make_study


def test_a_missing_weight_file_of_an_arms_encoder_is_named_before_anything_is_started() -> None:
    weights = {"train.repa.encoder": "dinov2", "train.repa.weights": "nowhere/dinov2.pt"}
    planned = make_study(controls=[{"name": "repa", "set": {"train.repa.lambda": 0.5, **weights}}])
    with pytest.raises(DataError, match=r"nowhere/dinov2\.pt: no such weight file") as caught:
        check_fit(planned)
    assert caught.value.remedy == "correct train.repa.weights in the study"


def test_an_encoder_of_pixels_is_refused_on_latents(tmp_path: Path) -> None:
    labels = np.repeat(np.arange(2), 8)
    np.savez(tmp_path / "latents.npz", x=np.random.default_rng(0).normal(size=(16, 4, 8, 8)), y=labels)
    torch.save({"w": torch.zeros(1)}, tmp_path / "dinov2.pt")
    repa = {"encoder": "dinov2", "weights": str(tmp_path / "dinov2.pt")}
    data = {"name": "npz", "path": str(tmp_path / "latents.npz")}
    with pytest.raises(DataError, match=r"looks at pixels, and .* holds latents"):
        check_fit(make_study(recipe={"data": data, "train": {"repa": repa}}))


def test_a_file_of_reference_statistics_that_is_missing_is_named_before_anything_runs(tmp_path: Path) -> None:
    weights = tmp_path / "inception.pth"
    torch.save({"w": torch.zeros(1)}, weights)
    evaluation = {"extractor": "inception", "weights": str(weights), "reference": "absent.npz"}
    of = make_study(recipe={"eval": evaluation})
    with pytest.raises(DataError, match=r"absent\.npz: no such file of reference statistics"):
        check_fit(of)


def test_an_extractor_of_pixels_needs_the_latents_decoder_which_is_looked_for_before_anything_runs(
    tmp_path: Path,
) -> None:
    labels = np.repeat(np.arange(2), 8)
    np.savez(tmp_path / "latents.npz", x=np.random.default_rng(0).normal(size=(16, 4, 8, 8)), y=labels)
    torch.save({"w": torch.zeros(1)}, tmp_path / "inception.pth")
    latents = {"name": "npz", "path": str(tmp_path / "latents.npz")}
    evaluation = {"extractor": "inception", "weights": str(tmp_path / "inception.pth")}
    with pytest.raises(DataError, match="'inception' looks at pixels, and the data are latents") as caught:
        check_fit(make_study(recipe={"data": latents, "eval": evaluation}))
    assert "eval.decoder" in caught.value.remedy
    decoded = {**evaluation, "decoder": str(tmp_path / "vae")}
    with pytest.raises(DataError, match=r"vae/config\.json: no such file of an autoencoder") as caught:
        check_fit(make_study(recipe={"data": latents, "eval": decoded}))
    assert caught.value.remedy == "correct recipe.eval.decoder in the study"
    with pytest.raises(DataError, match="decodes latents, and the data are pixels"):
        check_fit(make_study(recipe={"eval": decoded}))


MOMENTS = {"mu": np.zeros(2048), "sigma": np.eye(2048)}


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        (None, "not a readable npz"),
        ({"x": np.zeros(3)}, r"has arrays \['x'\]"),
        ({"mu": np.zeros(3), "sigma": np.eye(3)}, r"mu \[3\] and sigma \[3, 3\].* 2048 dimensions"),
        ({**MOMENTS, "arr_0": np.zeros((4, 8, 8), np.uint8)}, r"arr_0 is uint8 \[4, 8, 8\]; it must be uint8"),
        ({**MOMENTS, "mu_s": np.array([{}], dtype=object), "sigma_s": np.eye(2)}, "mu_s cannot be read"),
        (MOMENTS, None),
        ({"arr_0": np.zeros((4, 8, 8, 3), np.uint8)}, None),
    ],
)
def test_a_reference_that_could_not_be_compared_with_is_refused_before_anything_runs(
    tmp_path: Path, arrays: dict[str, Any] | None, says: str | None
) -> None:
    torch.save({"w": torch.zeros(1)}, tmp_path / "inception.pth")
    if arrays is None:
        (tmp_path / "reference.npz").write_text("no archive")
    else:
        np.savez(tmp_path / "reference.npz", **arrays)
    weights, reference = str(tmp_path / "inception.pth"), str(tmp_path / "reference.npz")
    given = make_study(recipe={"eval": {"extractor": "inception", "weights": weights, "reference": reference}})
    if says is None:
        check_fit(given)
        return
    with pytest.raises(DataError, match=rf"reference\.npz: .*{says}") as caught:
        check_fit(given)
    assert caught.value.remedy == "correct recipe.eval.reference in the study"
    assert "\n" not in str(caught.value)


def test_a_weight_file_that_holds_no_weights_is_refused_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "weights.pth").write_text("no weights")
    path = str(tmp_path / "weights.pth")
    with pytest.raises(DataError, match=r"weights\.pth: cannot be read as a weight file") as caught:
        check_fit(make_study(recipe={"eval": {"extractor": "inception", "weights": path}}))
    assert caught.value.remedy == "correct recipe.eval.weights in the study"
    arm = {"name": "repa", "set": {"train.repa.encoder": "dinov2", "train.repa.weights": path}}
    with pytest.raises(DataError, match=r"weights\.pth: cannot be read") as caught:
        check_fit(make_study(controls=[arm]))
    assert caught.value.remedy == "correct train.repa.weights in the study"


def test_a_decoder_whose_files_are_not_of_their_formats_is_refused_before_anything_runs(tmp_path: Path) -> None:
    labels = np.repeat(np.arange(2), 8)
    np.savez(tmp_path / "latents.npz", x=np.random.default_rng(0).normal(size=(16, 4, 8, 8)), y=labels)
    torch.save({"w": torch.zeros(1)}, tmp_path / "inception.pth")
    for name in ("config.json", "diffusion_pytorch_model.safetensors"):
        (tmp_path / name).write_text("{")
    evaluation = {"extractor": "inception", "weights": str(tmp_path / "inception.pth"), "decoder": str(tmp_path)}
    given = make_study(recipe={"data": {"name": "npz", "path": str(tmp_path / "latents.npz")}, "eval": evaluation})
    with pytest.raises(DataError, match=r"config\.json: not a file of a diffusers AutoencoderKL"):
        check_fit(given)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(DataError, match=r"safetensors: not a file of a diffusers AutoencoderKL") as caught:
        check_fit(given)
    assert caught.value.remedy == "correct recipe.eval.decoder in the study"


def test_a_rate_for_later_blocks_without_weights_is_refused_before_anything_runs() -> None:
    model = {"kind": "module", "factory": "tests.trainer.backbones.own_nets:mlp", "taps": ["tokens"]}
    recipe = {"model": model, "train": {"later_blocks": {"block": 0, "rate": 0.5}}}
    with pytest.raises(StudyError, match=r"train\.later_blocks\.block 0 and the taps after it have no weights"):
        check_fit(make_study(recipe=recipe, space={"block": [0], "lambda": [0.1]}))


def test_compiled_samples_that_are_asked_for_need_a_compiler_and_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {"recipe": {"eval": {"compile": "on"}}}
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(SetupError, match=r"recipe\.eval\.compile is 'on' and there is no C\+\+ compiler"):
        check_fit(make_study(**asked))
    with pytest.raises(ValueError, match="compiled samples are for CPUs"):
        make_study(**asked, resources={"gpus": 1})


def test_samples_in_bfloat16_that_are_asked_for_are_a_transformers_on_a_cpu() -> None:
    low = {"eval": {"precision": "bf16"}}
    assert make_study(recipe=low).recipe.eval.precision == "bf16"
    with pytest.raises(ValueError, match="samples in bf16 are for CPUs"):
        make_study(recipe=low, resources={"gpus": 1})
    with pytest.raises(ValueError, match=r"must be 'auto' or 'fp32' beside model.kind 'unet'"):
        make_study(recipe={**low, "model": {"kind": "unet"}}, space={"block": ["mid"], "lambda": [0.1]})


def test_what_changes_nothing_of_the_data_at_hand_is_refused_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"eval\.cfg_channels 'public' guides .* 3 channels, and the data have 1"):
        check_fit(make_study(recipe={"eval": {"cfg": 2.0, "cfg_channels": "public"}}))
    random = np.random.default_rng(0)
    np.savez(tmp_path / "one.npz", x=random.normal(size=(16, 4, 8, 8)), y=np.zeros(16, np.int64))
    data = {"name": "npz", "path": str(tmp_path / "one.npz")}
    assert check_fit(make_study(recipe={"data": data, "eval": {"cfg": 2.0, "cfg_channels": "public"}}))
    with pytest.raises(StudyError, match=r"eval\.linear_probe tells classes apart, and the data have one"):
        check_fit(make_study(recipe={"data": data, "eval": {"linear_probe": "last rung"}}))
