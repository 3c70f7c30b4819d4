"""Encoding records as MLflow's tags and parameters, and decoding them.

Whatever we read back is stored in tags, because MLflow's `search_runs` returns the tags of thousands of runs at once,
while each metric history costs a call.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TypeVar, get_args

from sweeper.records import Facts, Provenance, Rung, TrialSpec
from sweeper.study import Study
from sweeper.study.knobs import KNOBS, Value
from sweeper.text.passwords import masked
from sweeper.text.untrusted import prose
from trainer.recipe import Frozen
from trainer.recipe.auxiliary_losses import AuxiliaryLoss
from trainer.recipe.idle_fields import KEPT

KEY, STATE, SPEC, STUDY, PROVENANCE, FACTS, NOTE, ATTEMPT, AUDITED, FRESH_SEEDS, ADDED, WEIGHTS, LOOKS = (
    f"sweeper.{name}"
    for name in (
        *("key", "state", "spec", "study", "provenance", "facts", "note", "attempt", "audited", "fresh_seeds"),
        *("added", "weights", "looks"),
    )
)
STUDY_KEY = "study"
LIVE_LOSS, LIVE_SPEED = "live/train_loss", "live/steps_per_s"  # metrics while a trial trains, no part of the record
# Of the experiment: which study it is of, by id, and who began it where.
ID, OWNER = "sweeper.id", "sweeper.owner"
RUNG = "sweeper.rung."
TIMES = ("train_s", "eval_s", "cpu_s", "train_flops")  # what a trial costs
HEALTH = frozenset({"dispersive_loss", "floor_distance", "floor_share", "gradient_ratio"}).union(
    *(loss.recorded for loss in get_args(AuxiliaryLoss))
)
DESCRIPTION = "mlflow.note.content"  # of a run or an experiment; MLflow shows it as markdown
LENGTH = 5000  # characters of a tag: MLflow 3.17 allows 8000, some servers only 5000

Record = TypeVar("Record", bound=Frozen)


def record_tags(name: str, record: Frozen) -> dict[str, str]:
    """Write a record as JSON over as many tags as it needs: name, name:1, name:2, ..."""
    text = record.model_dump_json(by_alias=True)
    starts = range(0, len(text), LENGTH)
    return {name if i == 0 else f"{name}:{i}": text[at : at + LENGTH] for i, at in enumerate(starts)}


def record_from(tags: Mapping[str, str], name: str, kind: type[Record]) -> Record | None:
    """Read what `record_tags` wrote, or None where there is nothing.

    Text after the end of the JSON is ignored, so tags left over from a longer record do no harm. Raises ValueError for
    anything else.
    """
    if name not in tags:
        return None
    text, part = tags[name], 1
    while (more := tags.get(f"{name}:{part}")) is not None:
        text, part = text + more, part + 1
    _, end = json.JSONDecoder().raw_decode(text)
    return kind.model_validate_json(text[:end], context=KEPT)


def study_tags(study: Study) -> dict[str, str]:
    """A study, as a record and for people."""
    return {DESCRIPTION: described(study.question, study.tuning), **record_tags(STUDY, study)}


def described(*parts: str) -> str:
    """Write paragraphs as a description: passwords hidden, and no picture, which MLflow would load from anywhere."""
    return "\n\n".join(prose(masked(part)) for part in parts if part)


def provenance_tags(provenance: Provenance) -> dict[str, str]:
    """Provenance, as a record and for people."""
    return {
        **record_tags(PROVENANCE, provenance),
        "mlflow.source.name": provenance.command[:LENGTH],
        "mlflow.source.type": "LOCAL",
        "mlflow.source.git.commit": provenance.commit,
        "git.dirty": str(provenance.dirty).lower(),
        "cores": str(provenance.cores),
        **{f"version.{name}": version for name, version in provenance.versions.items()},
    }


def trial_tags(spec: TrialSpec, parent: str) -> dict[str, str]:
    """A trial's run when it is created, a child of the run `parent`."""
    mark = {"mark": spec.cell.mark} if spec.cell.mark else {}
    return {"mlflow.parentRunId": parent, KEY: spec.key, STATE: "running", **record_tags(SPEC, spec), **mark}


def rung_tags(rung: Rung, facts: Facts) -> dict[str, str]:
    """A rung, and the worker's facts."""
    people = {name: str(value)[:LENGTH] for name, value in facts.model_dump().items() if value != ""}
    return {**record_tags(FACTS, facts), **people, **record_tags(f"{RUNG}{rung.step}", rung)}


def group_of(metric: str) -> str:
    """Return a metric's name as MLflow shows it: what concerns health or time under a heading of its own.

    What trials are judged by, and other outcomes, stay as the record names them.
    """
    if metric in TIMES:
        return f"time/{metric}"
    return f"health/{metric}" if ".block_" in metric or metric in HEALTH else metric


def rung_steps(tags: Mapping[str, str]) -> list[int]:
    """The steps a trial was measured at, ascending."""
    return sorted(int(name.removeprefix(RUNG)) for name in tags if name.startswith(RUNG) and ":" not in name)


def trial_params(spec: TrialSpec) -> dict[str, str]:
    """The parameters by which a user filters and plots trials, named as in the YAML file.

    A knob that does nothing has no value: at lambda 0 there is no block, and a variant may have no tau.
    """
    setting = spec.cell.dispersion
    values = {knob.name: knob.of(setting) if setting.lam else knob.off for knob in KNOBS}
    usual = {knob.name: knob.usual for knob in KNOBS if knob.later}
    turned: dict[str, object] = {
        name: _plain(value) for name, value in values.items() if value is not None and value != usual.get(name)
    }
    place = {"seed": spec.seed, "stage": spec.stage, "role": spec.cell.role, "label": spec.cell.label}
    return {name: str(value) for name, value in {**turned, **place, **dict(spec.cell.overrides)}.items()}


def _plain(value: Value) -> Value:
    """Write blocks as indices, '1,3': a trial's event comes without its model, whose taps have the names."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else value


def study_params(study: Study) -> dict[str, str]:
    """The recipe all trials share, under dotted names, and the objective."""
    return {"objective": study.minimised.recorded(), **_flat(study.recipe)}


def _flat(tree: Frozen, prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, field in type(tree).model_fields.items():
        value, written = getattr(tree, name), f"{prefix}{field.alias or name}"
        flat |= _flat(value, f"{written}.") if isinstance(value, Frozen) else {written: str(value)}
    return flat
