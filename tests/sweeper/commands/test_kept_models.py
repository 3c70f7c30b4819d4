"""`sweeper sample` and `sweeper measure`, on a study that was really trained."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from sweeper.ledger import GRID, WEIGHTS, TrialFiles, read_study
from sweeper.worker import cohort_run
from sweeper.workspace import Workspace
from tests.sweeper.cli.test_app import Run, run
from tests.sweeper.coordinator.coordinators import begun, make_ready, open_coordinator, study
from trainer.runtime import process
from trainer.sampling import kept_model as kept

__all__ = ["run"]  # a fixture, used by being here

STUDY = study(
    space={"block": [0], "lambda": [0.1], "tau": [0.5]},
    screen={"seeds": [0], "pruner": "none", "rungs": [1]},
    resources={"cohort": 1},
    confirm={"top": 1, "seeds": [7, 8]},
)


@pytest.fixture(scope="module")
def place(tables: Path, extractor_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A workspace in which the study has run."""
    root = tmp_path_factory.mktemp("workspace")
    make_ready(root, tables, extractor_cache)
    process.prepare(1)  # as a worker does
    coordinator = open_coordinator(root, STUDY, ["screen", "confirm"])
    while (cohort := coordinator.claim()) is not None:
        cohort_run.run(coordinator, begun(coordinator, cohort))
    assert coordinator.close(interrupted=False, timeout=60)
    yield root
    torch.set_flush_denormal(False)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(STUDY.model_dump(mode="json", by_alias=True, exclude_defaults=True)))
    return path


@pytest.fixture
def weights(place: Path, tmp_path: Path) -> Path:
    path = tmp_path / "baseline.safetensors"
    path.write_bytes(stored(place, "confirm.baseline.7", WEIGHTS))
    return path


def stored(place: Path, key: str, name: str) -> bytes:
    found = TrialFiles(Workspace(place).tracking_uri, "tiny").read(key, name)
    assert found is not None
    return found


def test_a_grid_from_the_record_is_the_trials_own_bit_for_bit(run: Run, place: Path, file: Path) -> None:
    for which in ("baseline", "confirm.baseline.7"):
        ran = run("sample", file, which, "-o", "grid.png", "--workspace", place)
        assert (ran.code, ran.out) == (0, "grid.png\n"), ran.err
        assert Path("grid.png").read_bytes() == stored(place, "confirm.baseline.7", GRID)


def test_a_file_that_was_not_named_is_not_written_over(run: Run, weights: Path) -> None:
    assert run("sample", weights).out == "samples.png\n"
    before = Path("samples.png").read_bytes()
    again = run("sample", weights, "-n", 1)
    assert (again.code, Path("samples.png").read_bytes()) == (2, before)
    assert "samples.png exists already" in again.err


def test_the_finalist_is_the_lowest_on_fresh_seeds_and_its_kept_figures_are_the_recorded_ones(
    run: Run, place: Path, file: Path
) -> None:
    ran = run("measure", file, "finalist", "--workspace", place)
    assert ran.code == 0, ran.err
    told = json.loads(ran.out)
    recorded = {trial.spec.key: trial for trial in read_study(Workspace(place).tracking_uri, "tiny").trials}
    trial = recorded[told["trial"]]
    assert (trial.spec.cell.role, trial.spec.stage, trial.spec.seed) == ("grid", "confirm", 7)
    assert told["metrics"].items() <= trial.rungs[-1].metrics.items()
    assert told["metrics"]["fid_40"] > 0


def test_a_file_alone_draws_images_of_chosen_classes_that_can_be_trained_on(run: Run, weights: Path) -> None:
    ran = run("sample", weights, "-n", 5, "--labels", "3,1", "--solver", "heun", "--nfe", 4, "-o", "drawn.npz")
    assert ran.code == 0, ran.err
    with np.load("drawn.npz") as drawn:
        assert (drawn["x"].shape[0], drawn["x"].dtype) == (5, np.uint8)
        assert drawn["y"].tolist() == [3, 1, 3, 1, 3]


def test_a_folder_gets_one_image_a_file(run: Run, weights: Path) -> None:
    assert run("sample", weights, "-n", 2, "-o", "drawn").code == 0
    files = sorted(Path("drawn").iterdir())
    assert [file.name for file in files] == ["000000_class0.png", "000001_class1.png"]
    with Image.open(files[0]) as image:
        assert image.size == (8, 8)


def test_a_gpus_model_is_drawn_on_a_cpu_where_there_is_no_gpu_and_that_is_said(
    run: Run, weights: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found = kept.read(weights.read_bytes(), "it")
    kept.save(weights, found.origin.model_copy(update={"device": "cuda"}), found.state)
    assert run("sample", weights, "-n", 1).code == 0
    assert torch.cuda.is_available() or "was trained on a GPU: a CPU draws other noise" in caplog.text


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (["--labels", "10"], 2, "labels are numbers from 0 to 9"),
        (["--labels", "x"], 2, "--labels is a list such as 0,1,2"),
        (["--nfe", "3", "--solver", "heun"], 2, "eval.nfe: must be a multiple of 2, not 3"),
        (["--nfe", "0"], 2, "eval.nfe: Input should be greater than or equal to 1"),
        (["-o", "x.jpg"], 2, "images are written as .png, .npz or into a folder"),
        (["baseline"], 2, "leave TRIAL out"),
    ],
)
def test_a_wrong_option_is_told_in_one_line(run: Run, weights: Path, options: list[str], code: int, says: str) -> None:
    ran = run("sample", weights, *options)
    assert (ran.code, ran.out) == (code, "")
    assert says in ran.err
    assert "Traceback" not in ran.err


def test_what_is_not_there_is_told_with_what_is(run: Run, place: Path, file: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.safetensors").write_bytes(b"nothing")
    for arguments, code, says in (
        ([tmp_path / "gone.safetensors"], 2, "gone.safetensors is not there"),
        ([tmp_path / "broken.safetensors"], 4, "not a file of kept weights"),
        ([file], 2, "TRIAL is missing"),
        ([file, "best"], 2, "write 'baseline', 'finalist' or a trial's key: confirm."),
        ([file, "screen.baseline.0"], 2, "no weights were kept for 'screen.baseline.0'"),
    ):
        ran = run("sample", *arguments, "--workspace", place)
        assert (ran.code, ran.out) == (code, "")
        assert says in ran.err


def test_a_study_can_start_from_a_kept_file(run: Run, file: Path, weights: Path) -> None:
    content = kept.read(weights.read_bytes(), "it")
    assert content.origin.trial == "confirm.baseline.7"
    ran = run("plan", file, "--set", f"recipe.model.init={weights}")
    assert ran.code == 0, ran.err
    # Two settings, one of them the baseline, on two fresh seeds, and 4 bytes a weight.
    assert "keeps the weights of at most 4 trials (keep: finalists)," in ran.out
    none = run("plan", file, "--set", "confirm=null")
    assert "keeps no weights (keep: finalists: finalists are known from a confirm stage on" in none.out
    ran = run("plan", file, "--set", f"recipe.model.init={weights}", "--set", "recipe.model.depth=3")
    assert ran.code == 4
    assert "not a SiT of depth 3" in ran.err


def test_a_models_tokens_are_compared_with_the_baselines_of_its_seed_block_by_block(
    place: Path, file: Path, run: Run
) -> None:
    where = ["--workspace", str(place)]
    result = run("measure", str(file), "finalist", "--against", "baseline", *where)
    assert result.code == 0, result.err
    found = json.loads(result.out)
    assert found["trial"].split(".")[-1] == found["against"].split(".")[-1] == "7"
    depth, levels = len(STUDY.recipe.model.taps), len(STUDY.recipe.eval.probe_levels)
    assert len(found["cka"]) == depth * levels
    assert all(0 < value < 1 - 1e-6 for value in found["cka"].values())
    same = json.loads(run("measure", str(file), "baseline", "--against", "baseline", *where).out)
    assert list(same["cka"].values()) == pytest.approx([1] * depth * levels, abs=1e-5)


def test_a_file_is_compared_with_no_trial(weights: Path, run: Run) -> None:
    result = run("measure", str(weights), "--against", "baseline")
    assert result.code == 2
    assert "--against names a trial of a study" in result.err
