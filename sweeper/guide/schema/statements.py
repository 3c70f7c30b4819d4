"""A guide's statements: claims, the recommended set, rules, the verdict."""

from __future__ import annotations

from typing import Literal

from sweeper.guide.schema.results import Change
from sweeper.study import Study
from sweeper.study.knobs import in_words
from trainer.recipe import Better, Frozen

# An arm's standing after the confirm stage; words follow evidence.
Standing = Literal[
    "confirmed helps", "confirmed hurts", "equivalent", "suggestive", "no evidence either way", "not comparable"
]
Grade = Literal["confirmed", "equivalent", "95 % set", "suggestive", "screening", "none"]
FirstChoice = Literal["confirmed", "bet", "default"]  # why a setting is the first one of the recommended set
VerdictKind = Literal[
    "nothing measured",
    "no baseline",
    "no setting finished",
    "screening",
    "confirming",
    "helps",
    "helps like a control",
    "hurts",
    "equivalent",
    "no evidence",
]


class Claim(Frozen):
    """What the fresh seeds say about one arm in one metric, against the baseline on the same seeds.

    `change` holds together with those of all other claims about the metric. `p` belongs to the one-sided paired t-test
    in `direction`, which the screen chose, adjusted for the number of tests (Holm) of the claim's family and for all
    looks; `bound` is the smallest change that a confirmed claim leaves open, at the level of its test. `equivalence` is
    TOST's p-value at the study's margin. `look` says after how many fresh seeds the arm ended where there was more than
    one look. `reason` says why an arm is not comparable.
    """

    key: str
    label: str
    metric: str
    standing: Standing
    direction: Better
    change: Change | None = None
    p: float | None = None
    equivalence: float | None = None
    within_margin: bool = False
    bound: float | None = None
    look: int | None = None
    reason: str = ""

    @property
    def suggests(self) -> str:
        """What a suggestive claim about the objective suggests: harm or a gain; '' otherwise."""
        if self.standing != "suggestive" or self.change is None:
            return ""
        return "harm" if self.change.mean > 0 else "a gain"

    @property
    def confirmed(self) -> bool:
        """Whether a direction was confirmed."""
        return self.standing in ("confirmed helps", "confirmed hurts")


class Recommendation(Frozen):
    """The settings that are not shown to be worse than another one: among them is the best, 95 times in 100.

    `members` are keys, the baseline's among them where it belongs, simplest first. `first` is the one to take if one
    must be taken now, and `why` the reason. `unique` names a single best, at a stricter level; `stopped` counts the
    settings that the pruner or a divergence took out.
    """

    members: tuple[str, ...]
    first: str
    why: FirstChoice
    unique: bool
    stopped: int


class Interaction(Frozen):
    """F-test of block x tau within every lambda and variant, on unsaturated settings of the screen.

    `reason` says why there is none. Where it rejects, no marginal best block or tau exists; it is one of the family of
    pairs that the grid varies, and `adjusted` is its p-value there (Holm).
    """

    reason: str = ""
    f: float | None = None
    df: int | None = None
    df_residual: int | None = None
    p: float | None = None
    adjusted: float | None = None
    rejects: bool = False
    settings: int = 0


class KnobPair(Frozen):
    """F-test of whether two knobs interact, within every level of the others, on the screen's settings.

    `adjusted` is its p-value corrected for all pairs that were tested (Holm), `size` the typical (root mean square)
    deviation of a crossing from what both knobs do by themselves, as a fraction of the objective and less what noise
    alone gives. `seen`: the corrected p-value is small enough to report an interaction. `reason` says why a pair was
    not tested.
    """

    knobs: tuple[str, str]
    reason: str = ""
    f: float | None = None
    df: int | None = None
    df_residual: int | None = None
    p: float | None = None
    adjusted: float | None = None
    size: float | None = None
    seen: bool = False
    settings: int = 0

    @property
    def words(self) -> str:
        """The pair as readers know it."""
        return " x ".join(map(in_words, self.knobs))


class KnobLevel(Frozen):
    """One level of a knob against the level with the lowest mean, over all else; simultaneous 95 % interval."""

    level: str
    change: Change
    reach: Literal["lowest", "within the margin", "beyond the margin", "open"]


class KnobEffect(Frozen):
    """What one knob does by itself in the screen; `p` is of the F-test that it does anything.

    `depends_on` are the knobs that it was seen to interact with: what it does is an average over their levels.
    """

    name: str
    p: float | None
    levels: tuple[KnobLevel, ...]
    depends_on: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """The knob as readers know it."""
        return in_words(self.name)


class ControlComparison(Frozen):
    """A setting that helps against a control arm at lambda 0, on the same fresh seeds; `better` where that is shown.

    `times` is how many times the setting's mean gain the control's is, both as logarithms.
    """

    setting: str
    control: str
    change: Change
    better: bool
    control_standing: Standing
    times: float | None = None

    @property
    def outdone(self) -> bool:
        """Whether the control is confirmed to help, and the setting's interval lies wholly on the worse side of it."""
        return self.control_standing == "confirmed helps" and self.change.side == "above"


class Rule(Frozen):
    """A piece of advice, the evidence for it and how strong that is."""

    rule: str
    evidence: str
    grade: Grade


MOST_POINTS = 4  # of a verdict: with its headline, five sentences


class Verdict(Frozen):
    """The guide in ten seconds: a headline and at most `MOST_POINTS` points; `notes` say the rest, further down."""

    kind: VerdictKind
    headline: str
    points: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def sentences(self) -> tuple[str, ...]:
        """All that is said below the headline."""
        return (*self.points, *self.notes)


class NextStudy(Frozen):
    """A study that would settle what the study `follows` left open, and what it costs; `file` lies beside the guide."""

    file: str
    follows: str
    study: Study
    aims: tuple[str, ...]
    trials: int
    seconds: float | None
