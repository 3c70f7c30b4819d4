"""Plain records of a study: the coordinator writes them, the ledger keeps them, the guide reads them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from typing import Literal

from sweeper.study import Study
from trainer.recipe import Dispersion, Frozen, Recipe, Scalar, Seed
from trainer.recipe.identity import identity

Stage = Literal["screen", "confirm"]
Role = Literal["baseline", "grid", "control"]
TrialState = Literal["waiting", "running", "complete", "pruned", "diverged", "failed"]
FINAL_STATES: frozenset[TrialState] = frozenset({"complete", "pruned", "diverged", "failed"})

BASELINE_KEY = "baseline"


class Cell(Frozen):
    """One configuration of a study: a setting of the loss, or a control that changes the recipe, with one or without.

    `label` is what people read ("block 1, lambda 0.25, tau 0.5"); `mark` names a cell of interest ("paper's
    default"). The baseline is lambda 0 with the recipe unchanged.
    """

    role: Role
    label: str
    dispersion: Dispersion
    overrides: tuple[tuple[str, Scalar], ...] = ()
    mark: str | None = None

    @cached_property
    def key(self) -> str:
        """A stable name: 'baseline', or ten hex digits of what the cell does (never of its label)."""
        if self.role == "baseline":
            return BASELINE_KEY
        does = json.dumps([identity(self.dispersion), sorted(self.overrides)], sort_keys=True)
        return hashlib.sha256(does.encode()).hexdigest()[:10]

    def recipe(self, shared: Recipe) -> Recipe:
        """The study's recipe as this cell trains it."""
        return shared.override(dict(self.overrides)) if self.overrides else shared


class TrialSpec(Frozen):
    """A trial: one cell on one seed in one stage."""

    stage: Stage
    cell: Cell
    seed: Seed

    @property
    def key(self) -> str:
        """Unique within a study, e.g. 'screen.3f9c01ab22.2'."""
        return f"{self.stage}.{self.cell.key}.{self.seed}"


class Facts(Frozen):
    """A worker's inputs and machine; part of every trial's record.

    `reference_sha256` is of the file of reference statistics that samples were compared with, empty where that is the
    training split; `init_sha256` is of the weights that training started from, empty where it started anew;
    `source_sha256` of the user's code that the model is made of, empty where it is one of ours; `encoder_sha256` of the
    frozen encoder that a block was aligned with, empty without REPA.
    `compiled`: samples were drawn by compiled code, whose figures differ from eager code's in their last digits;
    `sampled_in`: what the network's blocks computed in meanwhile.
    `images` were read in all, held-out ones among them; 0 in records made before they were counted. Plain values: an
    export has a column for each.
    """

    data_hash: str
    extractor: str
    extractor_sha256: str
    device: str
    init_sha256: str = ""
    reference_sha256: str = ""
    source_sha256: str = ""
    encoder_sha256: str = ""
    compiled: bool = False
    sampled_in: Literal["fp32", "bf16"] = "fp32"
    images: int = 0
    image_kind: Literal["images", "latents"] = "images"
    image_channels: int = 0
    image_height: int = 0
    image_width: int = 0


# The fields of Facts that hash what a trial's figures depend on, and the name a reader knows each by.
INPUTS: Mapping[str, str] = {
    "data_hash": "data",
    "extractor_sha256": "feature extractors",
    "reference_sha256": "reference statistics",
    "init_sha256": "weights to start from",
    "source_sha256": "models' code",
    "encoder_sha256": "REPA encoders",
}


class Rung(Frozen):
    """Metrics of one trial at one rung.

    Names: the objective ('fid_10k'), before the last rung that of as many samples as the recipe has for it
    ('fid_2500', which the last rung has beside the objective); 'train_loss' and, with lambda > 0, 'dispersive_loss'
    and 'floor_distance', with an auxiliary loss what it records, such as REPA's 'alignment_loss' (means over about the
    last 50 steps); 'floor_share' (share of all steps so far at the loss's floor, of those with a weight where lambda
    changes over time); 'feature_norm.block_<i>', 'effective_rank.block_<i>' and 'pairwise_distance.block_<i>' (the
    median, in the units of tau), all on the probe; 'train_s', 'eval_s', 'cpu_s' (seconds so far). At the last rung also
    'gradient_ratio' (norm of the gradient of lambda times the loss over that of the training loss) with lambda > 0,
    'train_flops' (floating-point operations of the whole training, by formula, of a SiT), and
    the other metrics of `trainer.recipe.METRICS`, such as 'val_loss' and 'recall_10k'. In the confirm stage, where the
    recipe has a full metric, also 'fid_<full>' and 'fid_<n>_second' (another sampling of the same weights). In one
    trial a study 'torch_fidelity_difference', the relative difference of our FID to torch-fidelity's on the same
    features.
    """

    step: int
    metrics: dict[str, float]


class TrialRecord(Frozen):
    """All that is known of one trial; `note` says why it failed or was stopped, or why its weights are lost.

    `audited`: the pruner would have stopped it; it ran on so that the pruner can be checked, and counts for nothing
    else. `weights` is the artifact of its run that holds its averaged weights; empty where none are kept, and in
    records made before this was recorded.
    """

    spec: TrialSpec
    state: TrialState
    rungs: tuple[Rung, ...] = ()
    facts: Facts | None = None
    note: str = ""
    audited: bool = False
    weights: str = ""


class Provenance(Frozen):
    """Where a study's figures come from: `commit` is sweeper's own, `project_commit` that of the current folder.

    Both are empty or 'unknown' outside a checkout; `dirty`, or a '+' behind the other, says that files differed.
    """

    command: str
    commit: str
    dirty: bool
    project_commit: str = ""
    versions: dict[str, str]
    cores: int
    started: str
    wall_s: float
    torch_fidelity_difference: float | None = None


class StudyRecord(Frozen):
    """A study as the ledger remembers it: all a guide needs.

    `fresh_seeds` are those the confirm stage may take, in their order; empty before it begins. `looks` say after how
    many of them its finalists are judged; empty where that is once, after all. `added` says what was added to the study
    after it had begun. The one that a guide was made from lies beside it:

        >>> from pathlib import Path
        >>> record = StudyRecord.model_validate_json(Path("reports/null/record.json").read_bytes())
        >>> record.study.name, sum(trial.state == "complete" for trial in record.trials)
        ('null', 39)
    """

    study: Study
    provenance: Provenance
    trials: tuple[TrialRecord, ...]
    fresh_seeds: tuple[Seed, ...] = ()
    looks: tuple[int, ...] = ()
    added: tuple[str, ...] = ()


class CardMemory(Frozen):
    """The bytes of a GPU that are used, by all that run on it, and that it has."""

    used: int
    total: int


class Activity(Frozen):
    """What one worker does: the trials it trains together, at which step of how many until it reports, how fast.

    `steps_per_s` is None before two heartbeats, and `loss` while there is none: the mean training loss of its trials.
    `card` is None on a CPU.
    """

    label: str
    doing: str
    step: int
    until: int
    trials: int
    steps_per_s: float | None = None
    loss: float | None = None
    card: CardMemory | None = None


class Progress(Frozen):
    """How far a study is, for the progress display; `lowest` is the complete trial with the lowest objective."""

    stage: Stage
    counts: dict[TrialState, int]
    lowest: str = ""
    messages: tuple[str, ...] = ()
    activities: tuple[Activity, ...] = ()
