"""Kept models: find them by file or by trial, draw samples from them, and measure them again."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from pydantic import ValidationError
from torch import Tensor

from sweeper.errors import DataError, SetupError, StudyError
from sweeper.ledger import WEIGHTS, TrialFiles, read_study
from sweeper.records import TrialRecord
from sweeper.study.knobs import setting_label
from sweeper.study.objective import Objective
from trainer import errors as trainer_errors
from trainer.data.dataset import load
from trainer.data.standardisation import Standardisation
from trainer.evaluation.evaluator import Evaluator
from trainer.evaluation.extractors import quantise
from trainer.recipe import Recipe, Scalar
from trainer.runtime import process
from trainer.runtime.files import write_whole
from trainer.sampling import kept_model as kept
from trainer.sampling.image_grid import encode_image, encode_png
from trainer.sampling.kept_model import Kept, Origin
from trainer.sampling.rescoring import rescored
from trainer.sampling.similarity import similarities

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sweeper.records import StudyRecord
    from sweeper.workspace import Workspace

log = logging.getLogger(__name__)

SHOWN = 8  # of a study's trials, where none is the one that was asked for
GRID_COLUMNS = 10  # at most


def from_file(path: Path) -> Kept:
    """Read a file of kept weights; raise StudyError where there is none, DataError where it cannot be read."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise StudyError(f"{path} is not there", "give a study, or a .safetensors file that one kept") from None
    with _reported("give a .safetensors file that a study kept"):
        return kept.read(content, str(path))


def from_study(study_name: str, which: str, workspace: Workspace) -> Kept:
    """Read the weights of a trial, by its key, or of 'baseline' or 'finalist' on the first seed whose are kept.

    The finalist is the setting with the lowest mean on fresh seeds; on the screen's, where no others were run. Raises
    StudyError where no weights are kept of it, and as `read_study` does.
    """
    uri, outbox = workspace.tracking_uri, workspace.outbox(study_name)
    files = TrialFiles(uri, study_name, outbox)
    for key in _keys(read_study(uri, study_name, outbox), which):
        if content := files.read(key, WEIGHTS):
            with _reported("someone else changed it in MLflow"):
                return kept.read(content, f"the weights of {key}")
    remedy = "'keep: finalists' keeps those of the confirm stage, 'keep: all' every complete trial's"
    raise StudyError(f"no weights were kept for {which!r} in study {study_name!r}", remedy)


def _keys(record: StudyRecord, which: str) -> list[str]:
    complete = [trial for trial in record.trials if trial.state == "complete"]
    fresh = [trial for trial in complete if trial.spec.stage == "confirm"] or complete
    if which == "baseline":
        found = [trial for trial in fresh if trial.spec.cell.role == "baseline"]
    elif which == "finalist":
        found = _lowest([trial for trial in fresh if trial.spec.cell.role == "grid"], record.study.minimised)
    else:
        found = [trial for trial in complete if trial.spec.key == which]
    if not found:
        keys = sorted(trial.spec.key for trial in complete)
        shown = ", ".join(keys[:SHOWN]) + (f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else "")
        remedy = f"write 'baseline', 'finalist' or a trial's key: {shown}" if keys else "wait until a trial is complete"
        raise StudyError(f"study {record.study.name!r} has no complete trial {which!r}", remedy)
    return [trial.spec.key for trial in sorted(found, key=lambda trial: trial.spec.seed)]


def _lowest(trials: Sequence[TrialRecord], objective: Objective) -> list[TrialRecord]:
    by_cell: dict[str, list[TrialRecord]] = {}
    for trial in trials:
        by_cell.setdefault(trial.spec.cell.key, []).append(trial)
    return min(
        by_cell.values(),
        key=lambda own: sum(objective.of(trial.rungs[-1].metrics) for trial in own) / len(own),
        default=[],
    )


def described(origin: Origin) -> str:
    """Name what a model was trained with: 'block 1, lambda 0.1, tau 0.5, seed 3, step 1,200 (confirm.3f9c01ab22.3)'."""
    taps = origin.recipe.model.taps
    setting = setting_label(origin.dispersion, taps) if origin.dispersion.lam > 0 else "lambda 0"
    return f"{setting}, seed {origin.seed}, step {origin.step:,} ({origin.trial})"


def draw(
    model: Kept,
    output: Path,
    count: int,
    labels: Sequence[int] | None,
    seed: int | None,
    changes: Mapping[str, Scalar],
    cpus: int,
) -> None:
    """Draw images into a file: a grid as .png, .npz with `x` and `y`, or else a folder of PNG images.

    `changes` are dotted fields of `eval`. On as many `cpus` as the trial had, and unless something else is asked for,
    they are the trial's own bit for bit. Raises StudyError for what the model cannot draw.
    """
    classes, pixels = model.origin.classes, model.origin.pixels
    if labels and not set(labels) <= set(range(classes)):
        raise StudyError(f"labels are numbers from 0 to {classes - 1}, not {list(labels)}", "change --labels")
    if output.suffix not in (".png", ".npz", ""):
        raise StudyError(f"{output}: images are written as .png, .npz or into a folder", "change --output")
    if not (pixels or output.suffix):
        raise StudyError("the model draws latents, which are no images", "give an --output that ends in .npz")
    scale = None if pixels else _standardisation(model)  # before anything is drawn: the data may be missing
    device = _prepared(model, cpus)
    with _reported("correct the file"):
        images = model.draw(count, device, _changed(model.origin.recipe, changes).eval, seed, labels)
    drawn = np.resize(np.array(labels or range(classes)), count)
    if output.suffix == ".png":
        turns = len(labels) if labels else classes
        write_whole(output, encode_png(images, turns if turns <= GRID_COLUMNS else GRID_COLUMNS))
    elif output.suffix == ".npz":
        stream = io.BytesIO()
        x = quantise(images) if scale is None else scale.undone(images)
        np.savez(stream, x=x.numpy(), y=drawn)
        write_whole(output, stream.getvalue())
    else:
        _write_each(images, drawn.tolist(), output)


def _standardisation(model: Kept) -> Standardisation:
    """Return how the study's latents were scaled: as it says or, where it says nothing, as its data are.

    Raises DataError where the data are needed for that and cannot be read, or are others.
    """
    recipe = model.origin.recipe.data
    if recipe.scale is not None or recipe.shift is not None:
        return Standardisation.given(model.origin.shape[0], recipe.scale, recipe.shift)
    with _reported("the data are needed to give latents their own scale"):
        data = load(recipe)
    if data.hash != model.origin.data_hash:
        raise DataError(f"{recipe.path} is not what the model was trained on", "restore the data it began with")
    assert data.standardisation is not None  # only pixels have none
    return data.standardisation


def _write_each(images: Tensor, labels: Sequence[int], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for place, (image, label) in enumerate(zip(images, labels, strict=True)):
        write_whole(folder / f"{place:06d}_class{label}.png", encode_image(image), durable=False)


def measure(model: Kept, cache: Path, changes: Mapping[str, Scalar], cpus: int) -> dict[str, float]:
    """Return a model's metrics, on the data it was trained on; `changes` are dotted fields of `eval`.

    Raises DataError where the data cannot be read or are others, StudyError for changes that are none.
    """
    recipe = _changed(model.origin.recipe, changes)
    device = _prepared(model, cpus)
    with _reported("bring the data of its recipe back; a relative path starts from this folder"):
        return rescored(model, Evaluator(recipe.eval, load(recipe.data), cache, device))


def compare(model: Kept, other: Kept, cpus: int) -> dict[str, float]:
    """Return the linear CKA of two models' tokens by block and noise level, on the data that the first was trained on.

    Raises DataError where the data cannot be read, or the two cannot be compared.
    """
    device = _prepared(model, cpus)
    with _reported("compare models of one study; a relative path of data starts from this folder"):
        return similarities(model, other, load(model.origin.recipe.data), device)


def _changed(recipe: Recipe, changes: Mapping[str, Scalar]) -> Recipe:
    try:
        return recipe.override({f"eval.{name}": value for name, value in changes.items()})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "eval"
        raise StudyError(f"{place}: {first['msg']}", "change the option") from error


def _prepared(model: Kept, cpus: int) -> torch.device:
    """Set the process up, and return a device of the kind that the model was trained on, or the next best."""
    process.prepare(cpus)
    wanted = model.origin.device
    if wanted == "cuda" and not torch.cuda.is_available():
        log.warning("%s was trained on a GPU: a CPU draws other noise, and so other images", model.origin.trial)
        wanted = "cpu"
    return torch.device(wanted)


@contextmanager
def _reported(remedy: str) -> Iterator[None]:
    try:
        yield
    except trainer_errors.DataError as error:
        raise DataError(str(error), remedy) from error
    except trainer_errors.CompilerError as error:
        remedy = "the trial was measured by compiled code: install g++, or name a C++ compiler in CXX"
        raise SetupError(str(error), remedy) from error
