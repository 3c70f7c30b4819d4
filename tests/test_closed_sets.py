"""Closed sets of words: a member that is added is noticed, and the places that ask for one are named.

Where code dispatches on a set by `match`, mypy reports a missing case (`exhaustive-match` in pyproject.toml);
tests/test_closed_set_uses.py holds tables and options to have every member. Elsewhere code asks whether a value is one
member, which no type checker can call incomplete. So this file lists every set once more: whoever adds a member sees
each place that asks about its fellows, and decides there before listing the member.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache

from tests.places import ROOT

SETS: dict[str, set[str]] = {
    "sweeper/commands/notify.py: Happened": {"ended", "stalled", "stopped"},
    "sweeper/worker/messages.py: Doing": {"measuring", "training"},
    "sweeper/commands/doctor.py: State": {"ok", "note", "problem"},
    "sweeper/commands/audit.py: AuditName": {"health", "proxy", "pruning", "seeds"},
    "sweeper/guide/compare/schema.py: BlockMatch": {"all", "index", "name", "share of depth"},
    "sweeper/guide/compare/schema.py: Relation": {"different recipes", "same recipe", "same training"},
    "sweeper/guide/compare/schema.py: TauMatch": {"median distance", "none", "tau"},
    "sweeper/commands/export.py: ExportFormat": {"csv", "parquet", "tensorboard", "wandb"},
    "sweeper/commands/export.py: TableFormat": {"csv", "parquet"},
    "sweeper/sinks/build.py: SinkKind": {"tensorboard", "wandb"},
    "sweeper/commands/schema.py: Described": {"atlas", "guide", "study"},
    "sweeper/guide/atlas/schema.py: CheckOutcome": {"fails", "holds", "open"},
    "sweeper/guide/atlas/schema.py: LambdaUnit": {"gradient ratio", "loss ratio"},
    "sweeper/guide/atlas/schema.py: RuleKind": {"avoid", "prefer", "use"},
    "sweeper/guide/compare/schema.py: Verdict": {
        "hurts in both",
        "no gain to transfer",
        "not shown to transfer",
        "reverses",
        "transfers",
    },
    "sweeper/guide/compare/schema.py: Winner": {"a", "b", "equivalent", "open"},
    "sweeper/guide/schema/heuristics.py: Against": {"lambda 0", "lowest", "setting"},
    "sweeper/guide/schema/heuristics.py: Reach": {"costs", "open", "safe", "use"},
    "sweeper/guide/schema/front.py: Sure": {"a trade", "better", "dominated", "open", "worse in one"},
    "sweeper/guide/schema/results.py: Ink": {"baseline", "highest", "lowest", "marked"},
    "sweeper/guide/schema/results.py: Means": {"arithmetic", "geometric"},
    "sweeper/guide/schema/results.py: Side": {"above", "around", "below", "unknown"},
    "sweeper/guide/schema/statements.py: Grade": {
        "95 % set",
        "confirmed",
        "equivalent",
        "none",
        "screening",
        "suggestive",
    },
    "sweeper/guide/schema/statements.py: Standing": {
        "confirmed helps",
        "confirmed hurts",
        "equivalent",
        "no evidence either way",
        "not comparable",
        "suggestive",
    },
    "sweeper/guide/schema/statements.py: VerdictKind": {
        "confirming",
        "equivalent",
        "helps",
        "helps like a control",
        "hurts",
        "no baseline",
        "no evidence",
        "no setting finished",
        "nothing measured",
        "screening",
    },
    "sweeper/guide/schema/statements.py: reach": {"beyond the margin", "lowest", "open", "within the margin"},
    "sweeper/guide/schema/statements.py: FirstChoice": {"bet", "confirmed", "default"},
    "sweeper/ledger/events.py: StudyEnd": {"failed", "finished", "interrupted"},
    "sweeper/ledger/events.py: kind": {"file_made", "grid_drawn"},
    "sweeper/records.py: Role": {"baseline", "control", "grid"},
    "sweeper/records.py: Stage": {"confirm", "screen"},
    "sweeper/records.py: TrialState": {"complete", "diverged", "failed", "pruned", "running", "waiting"},
    "sweeper/records.py: image_kind": {"images", "latents"},
    "sweeper/records.py: sampled_in": {"bf16", "fp32"},
    "sweeper/render/figures/map_cells.py: Tone": {"better", "noise", "unknown", "worse"},
    "sweeper/render/guide_files.py: Format": {"html", "latex", "markdown"},
    "sweeper/render/tables/sections.py: Fold": {
        *("rules", "how_sure", "why", "outcomes", "settings", "prior_art", "next", "protocol"),
    },
    "sweeper/statistics/looks.py: state": {"confirmed", "futile", "open"},
    "sweeper/study/field_error.py: kind": {"field_error", "unknown_field"},
    "sweeper/study/pruners.py: Pruner": {"halving", "hyperband", "median", "none", "race", "wilcoxon"},
    "sweeper/study/pruners.py: stops": {"cells", "nothing", "trials"},
    "sweeper/study/space.py: scale": {"linear", "log"},
    "sweeper/study/sampling.py: Sampling": {"compiled bf16", "compiled fp32", "eager bf16", "eager fp32"},
    "sweeper/study/study.py: keep": {"all", "finalists", "none"},
    "sweeper/study/study.py: sampler": {"grid", "random", "tpe"},
    "sweeper/worker/lane_seconds.py: kind": {"eval_s", "train_s"},
    "trainer/evaluation/sample_metrics.py: Need": {"classes", "reference features", "spatial features"},
    "trainer/evaluation/torch_fidelity.py: Metric": {"fid", "kid", "prc"},
    "trainer/recipe/auxiliary_losses.py: ContrastiveDistance": {"cosine", "l2"},
    "trainer/recipe/auxiliary_losses.py: Encoder": {"dinov2", "local"},
    "trainer/recipe/auxiliary_losses.py: ViewTimes": {"independent", "shared"},
    "trainer/recipe/backbone.py: Preset": {"B", "L", "M", "S", "XL", "compact", "mnist-compact"},
    "trainer/recipe/data.py: Layout": {"auto", "channels_first", "channels_last"},
    "trainer/recipe/data.py: name": {
        "digits",
        "folder",
        "huggingface",
        "mnist5k",
        "npy",
        "npz",
        "safetensors",
        "shapes",
    },
    "trainer/objectives/ode_solver.py: OdeSolver": {"euler", "heun"},
    "trainer/recipe/backbone.py: BackboneKind": {"module", "sit", "unet", "uvit"},
    "trainer/recipe/backbone.py: Gelu": {"exact", "tanh"},
    "trainer/recipe/evaluation.py: Solver": {"ancestral", "ddim", "euler", "euler_maruyama", "heun"},
    "trainer/recipe/evaluation.py: cfg_channels": {"all", "public"},
    "trainer/recipe/evaluation.py: compile": {"auto", "off", "on"},
    "trainer/recipe/evaluation.py: precision": {"auto", "bf16", "fp32"},
    "trainer/recipe/evaluation.py: linear_probe": {"every rung", "last rung", "none"},
    "trainer/recipe/evaluation.py: full_samples": {"auto", "none"},
    "trainer/recipe/metrics.py: Better": {"higher", "lower"},
    "trainer/recipe/metrics.py: ExtractorName": {"clip", "dinov2", "domain", "inception"},
    "trainer/recipe/metrics.py: OptionalMetric": {"classifier_score", "spatial_fid"},
    "trainer/recipe/metrics.py: PretrainedName": {"clip", "dinov2", "inception"},
    "trainer/recipe/metrics.py: Place": {"claimed", "left out", "objective", "shown"},
    "trainer/recipe/metrics.py: measured": {"every rung", "last rung"},
    "trainer/recipe/metrics.py: MetricName": {
        *("fid", "val_loss", "kid", "precision", "recall", "density", "coverage"),
        *("nearest_train", "nearest_train_ratio"),
        *("sfid", "spatial_fid", "cmmd", "vendi", "inception_score", "classifier_score"),
    },
    "trainer/recipe/regulariser.py: Distance": {"mean", "sum"},
    "trainer/recipe/regulariser.py: Features": {"layer_norm", "raw"},
    "trainer/recipe/regulariser.py: TauUnits": {"absolute", "median", "relative"},
    "trainer/recipe/regulariser.py: Variant": {"cosine", "covariance", "hinge", "l2"},
    "trainer/recipe/regulariser.py: tau": {"cosine", "squared distance"},
    "trainer/recipe/objective.py: NoiseSchedule": {"cosine", "linear"},
    "trainer/recipe/objective.py: ObjectiveKind": {"diffusion", "edm", "interpolant", "mean_flow"},
    "trainer/recipe/objective.py: Path": {"gvp", "linear"},
    "trainer/recipe/objective.py: Predicts": {"noise", "score", "velocity"},
    "trainer/recipe/objective.py: Times": {"logit_normal", "uniform"},
    "trainer/recipe/training.py: Schedule": {"constant", "cosine"},
    "trainer/recipe/training.py: Precision": {"bf16", "fp32"},
    "trainer/rng/draws.py: distribution": {"normal", "uniform"},
    "trainer/rng/draws.py: each": {"pixel", "sample"},
}


@cache
def sources() -> tuple[tuple[str, ast.Module], ...]:
    files = (file for package in ("sweeper", "trainer") for file in sorted((ROOT / package).rglob("*.py")))
    return tuple((str(file.relative_to(ROOT)), ast.parse(file.read_text(encoding="utf-8"))) for file in files)


def closed_sets() -> dict[str, set[str]]:
    """Every `Literal` of two words or more, by file and by the name it is given."""
    found: dict[str, set[str]] = {}
    for file, tree in sources():
        for node in ast.walk(tree):
            if isinstance(node, (ast.Assign, ast.AnnAssign, ast.arg)):
                for words in _literals(node):
                    found.setdefault(f"{file}: {_name(node)}", set()).update(words)
    return found


def _literals(node: ast.AST) -> Iterator[set[str]]:
    for part in ast.walk(node):
        if isinstance(part, ast.Subscript) and isinstance(part.value, ast.Name) and part.value.id == "Literal":
            words = {one.value for one in ast.walk(part.slice) if isinstance(one, ast.Constant)}
            if len(words) > 1 and all(isinstance(word, str) for word in words):
                yield words


def _name(node: ast.Assign | ast.AnnAssign | ast.arg) -> str:
    if isinstance(node, ast.arg):
        return node.arg
    return ast.unparse(node.targets[0] if isinstance(node, ast.Assign) else node.target)


def places(words: set[str]) -> list[str]:
    """Where a word is compared, matched, or the key of a table."""
    found = []
    for file, tree in sources():
        for node in ast.walk(tree):
            asked: list[ast.expr | None] = []
            if isinstance(node, ast.Compare):
                asked = [node.left, *node.comparators]
            elif isinstance(node, ast.MatchValue):
                asked = [node.value]
            elif isinstance(node, ast.Dict):
                asked = list(node.keys)
            constants = (one for part in asked if part for one in ast.walk(part) if isinstance(one, ast.Constant))
            if any(one.value in words for one in constants if isinstance(one.value, str)):
                found.append(f"{file}:{node.lineno if hasattr(node, 'lineno') else '?'}")
    return found


def changes(found: dict[str, set[str]]) -> list[str]:
    """Describe each set that differs from what is written down here, with the places that ask about its words."""
    described = []
    for name in sorted(found.keys() | SETS.keys()):
        words, known = found.get(name, set()), SETS.get(name, set())
        if words != known:
            where = "\n  ".join(places(words & known or words))
            described.append(f"{name} has changed by {words ^ known}. Decide in each of these, then here:\n  {where}")
    return described


def test_every_closed_set_is_written_down() -> None:
    changed = changes(closed_sets())
    assert not changed, "\n\n".join(changed)


def test_a_member_more_is_noticed_and_the_places_that_ask_for_its_fellows_are_named() -> None:
    name = "sweeper/records.py: Stage"
    (described,) = (one for one in changes(closed_sets() | {name: {"screen", "confirm", "replay"}}) if name in one)
    assert described.startswith(f"{name} has changed by {{'replay'}}")
    assert "sweeper/planning/trials.py:" in described


def test_a_set_that_nobody_wrote_down_is_noticed() -> None:
    tree = ast.parse('Colour = Literal["red", "green"]')
    assert next(_literals(tree.body[0])) == {"red", "green"}
    assert changes(closed_sets() | {"sweeper/new.py: Colour": {"red", "green"}})
