"""What is found out before anything is started."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sweeper.calibration.preflight import check_fit
from sweeper.errors import DataError, SetupError
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
    (tmp_path / "dinov2.pt").touch()
    repa = {"encoder": "dinov2", "weights": str(tmp_path / "dinov2.pt")}
    data = {"name": "npz", "path": str(tmp_path / "latents.npz")}
    with pytest.raises(DataError, match=r"looks at pixels, and .* holds latents"):
        check_fit(make_study(recipe={"data": data, "train": {"repa": repa}}))


def test_a_file_of_reference_statistics_that_is_missing_is_named_before_anything_runs(tmp_path: Path) -> None:
    weights = tmp_path / "inception.pth"
    weights.touch()
    evaluation = {"extractor": "inception", "weights": str(weights), "reference": "absent.npz"}
    of = make_study(recipe={"eval": evaluation})
    with pytest.raises(DataError, match=r"absent\.npz: no such file of reference statistics"):
        check_fit(of)


def test_an_extractor_of_pixels_needs_the_latents_decoder_which_is_looked_for_before_anything_runs(
    tmp_path: Path,
) -> None:
    labels = np.repeat(np.arange(2), 8)
    np.savez(tmp_path / "latents.npz", x=np.random.default_rng(0).normal(size=(16, 4, 8, 8)), y=labels)
    (tmp_path / "inception.pth").touch()
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


def test_compiled_samples_that_are_asked_for_need_a_compiler_and_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {"recipe": {"eval": {"compile": "on"}}}
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(SetupError, match=r"recipe\.eval\.compile is 'on' and there is no C\+\+ compiler"):
        check_fit(make_study(**asked))
    with pytest.raises(ValueError, match="compiled samples are for CPUs"):
        make_study(**asked, resources={"gpus": 1})
