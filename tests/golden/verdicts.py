"""Records of every verdict a guide can give, small and made up, whose wording `verdicts.md` holds."""

from __future__ import annotations

from collections.abc import Iterator

from sweeper.guide.assemble import assemble_guide
from sweeper.records import Cell, StudyRecord
from sweeper.render.tables.table import prose
from tests.sweeper.guide.study_records import control, make_record, make_study, setting, simulate

A, B, C = (setting((block,), 0.01, 0.5) for block in (1, 2, 3))
PAPER = setting((1,), 0.5, 0.5, "paper's default")


def scenario(
    effects: dict[str, float], noise: float = 0.02, confirmed: bool = True, cells: tuple[Cell, ...] = (A, B, C, PAPER)
) -> StudyRecord:
    """A record whose settings have these true log effects (by key; else 0)."""
    arms = (control(), *cells) if control().key in effects else cells
    study = make_study(
        confirm={"top": 3, "seeds": 5},
        controls=[{"name": "weight-decay", "set": {"train.weight_decay": 0.5}}] if arms != cells else [],
    )
    rows = simulate(study, arms, lambda cell: effects.get(cell.key, 0.0), noise=noise)
    if confirmed:
        fresh = simulate(
            study, arms, lambda cell: effects.get(cell.key, 0.0), "confirm", range(100, 105), noise, random=1
        )
        rows += fresh
    return make_record(study, rows)


def scenarios() -> Iterator[tuple[str, StudyRecord]]:
    """Yield a record for each verdict."""
    hurts = {PAPER.key: 1.1}
    whole = scenario({A.key: -0.2, **hurts})
    yield "nothing measured", make_record(whole.study, ())
    yield "no baseline", make_record(whole.study, [one for one in whole.trials if one.spec.cell.role != "baseline"])
    yield (
        "no setting finished",
        make_record(whole.study, [one for one in whole.trials if one.spec.key.startswith("screen.baseline")]),
    )
    yield "screening", scenario(hurts, confirmed=False, noise=0.05)
    yield "confirming", make_record(whole.study, whole.trials[:-2])
    yield "helps", whole
    yield "helps like a control", scenario({A.key: -0.2, control().key: -0.21, **hurts})
    yield "one single best", scenario({A.key: -1.0, **hurts})
    yield "hurts: everything tested", scenario({A.key: 0.3, B.key: 0.4, C.key: 0.5, **hurts})
    yield "hurts: the marked cell alone", scenario(hurts, noise=0.05)
    yield "equivalent", scenario({}, noise=0.005)
    yield "no evidence", scenario({}, noise=0.1)
    yield "no evidence, with a bet", scenario({A.key: -0.12}, noise=0.08)
    diverged = scenario({}, noise=0.1)
    trials = [
        one.model_copy(update={"state": "diverged", "rungs": one.rungs[:1]})
        if one.spec.seed == 101 and one.spec.cell == A
        else one
        for one in diverged.trials
    ]
    yield "not comparable", make_record(diverged.study, trials)


def written() -> str:
    """The verdict, rules and standings of every scenario, as markdown."""
    parts = ["# The wording of every verdict", ""]
    for name, record in scenarios():
        guide = assemble_guide(record)
        parts += [f"## {name} (`{guide.verdict.kind}`)", "", f"> **{prose(guide.verdict.headline)}**", ">"]
        parts += [f"> - {prose(point)}" for point in guide.verdict.points]
        parts += ["", *(f"- note: {prose(note)}" for note in guide.verdict.notes)] if guide.verdict.notes else []
        parts += ["", *(f"- {one.grade}: {prose(one.rule)} ({prose(one.evidence)})" for one in guide.rules), ""]
    return "\n".join(parts)
