"""Trials' parameters in Optuna: readable values, with distributions that only ever grow within a study."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from optuna.distributions import (
    BaseDistribution,
    CategoricalChoiceType,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from sweeper.planning.cells import cells
from sweeper.records import TrialSpec
from sweeper.study import Range, Study
from sweeper.study.knobs import Knob, KnobAxis, Taps, Word, parameter_knobs, word

Params = dict[str, CategoricalChoiceType]
Distributions = dict[str, BaseDistribution]


class Parameters:
    """The parameters of one Optuna study: the knobs, seed and, on control arms, control.

    Optuna refuses choices that change, so all are fixed beforehand, as far as the study determines them; extending a
    study appends to them. A list is a categorical axis; a range that random or tpe draws from is continuous. A knob
    that does nothing (of the baseline, of a control, tau of 'covariance') is None where categorical, and absent where
    continuous; lambda 0 is shown except on a log axis, which has no place for it.
    """

    def __init__(self, study: Study, trials: Sequence[TrialSpec], stored: Mapping[str, BaseDistribution]) -> None:
        self._taps = study.recipe.model.taps
        shown = list({cell.key: cell for cell in (*cells(study), *(trial.cell for trial in trials))}.values())
        seeds = {trial.seed for trial in trials} or {*study.screen.seeds}
        continuous = study.screen.sampler != "grid"
        self._knobs = parameter_knobs(study, (cell.dispersion for cell in shown))
        wanted: Distributions = {}
        for knob in self._knobs:
            used = [knob.shown(cell.dispersion, self._taps) for cell in shown]
            wanted[knob.name] = _axis(knob, knob.axis(study), used, self._taps, continuous)
        wanted["seed"] = IntDistribution(min(seeds), max(seeds))
        if controls := [cell.label for cell in shown if cell.role == "control"]:
            wanted["control"] = _choices(controls)
        self._distributions = {name: _settled(wanted[name], stored.get(name)) for name in wanted}

    def take(self, trials: Sequence[TrialSpec]) -> None:
        """Make room for trials of known cells on further seeds: a range of numbers may grow at any time."""
        known = self._distributions["seed"]
        assert isinstance(known, IntDistribution)
        seeds = {known.low, known.high, *(trial.seed for trial in trials)}
        self._distributions["seed"] = IntDistribution(min(seeds), max(seeds))

    def of(self, trial: TrialSpec) -> tuple[Params, Distributions]:
        """Return a trial's parameters and their distributions."""
        wanted: Params = {knob.name: knob.shown(trial.cell.dispersion, self._taps) for knob in self._knobs}
        wanted["seed"] = trial.seed
        if trial.cell.role == "control":
            wanted["control"] = trial.cell.label
        params = {name: value for name, value in wanted.items() if _has_place(self._distributions[name], value)}
        return params, {name: self._distributions[name] for name in params}


def space(study: Study) -> Distributions:
    """Return what random and tpe draw from: the study's own lists and ranges, nothing around them.

    A knob that does nothing for any of the study's variants is drawn from one value.
    """
    taps = study.recipe.model.taps
    return {
        knob.name: _drawn(knob.axis(study), taps)
        if any(knob.applies(variant) for variant in study.space.variant)
        else _choices([idle_word(knob, study)])
        for knob in parameter_knobs(study)
    }


def idle_word(knob: Knob, study: Study) -> Word:
    """Return the value that stands for none: a setting may have none, but samplers need one."""
    axis = knob.axis(study)
    return axis.low if isinstance(axis, Range) else word(axis[0], study.recipe.model.taps)


def _drawn(axis: KnobAxis, taps: Taps) -> BaseDistribution:
    if isinstance(axis, Range):
        return FloatDistribution(axis.low, axis.high, log=axis.scale == "log")
    return _choices(word(value, taps) for value in axis)


def _axis(knob: Knob, axis: KnobAxis, used: Sequence[Word | None], taps: Taps, continuous: bool) -> BaseDistribution:
    """Return the axis widened by the values that cells outside it use (None: a knob that does nothing)."""
    if knob.every:
        return _choices([None, *knob.every])
    if continuous and isinstance(axis, Range):
        log = axis.scale == "log"
        places = [float(value) for value in used if value is not None]
        inside = [axis.low, axis.high, *(value for value in places if value > 0 or not log)]
        return FloatDistribution(min(inside), max(inside), log=log)
    # None and lambda 0 come first, then numbers as a reader would sort them, and words in the order written.
    points = axis.points() if isinstance(axis, Range) else axis
    listed: list[Word] = [word(value, taps) for value in points]
    known = dict.fromkeys([*listed, *(value for value in used if value is not None)])
    numbers = sorted(value for value in known if isinstance(value, float))
    ordered: list[Word] = [*numbers, *(value for value in known if not isinstance(value, float))]
    return _choices([None, *ordered] if None in used else ordered)


def _choices(choices: Iterable[CategoricalChoiceType]) -> CategoricalDistribution:
    return CategoricalDistribution(tuple(dict.fromkeys(choices)))


def _settled(wanted: BaseDistribution, stored: BaseDistribution | None) -> BaseDistribution:
    """Keep the stored choices, in their order, and append what is new: Optuna keeps a choice by its place."""
    if isinstance(wanted, CategoricalDistribution) and isinstance(stored, CategoricalDistribution):
        return _choices([*stored.choices, *wanted.choices])
    return wanted


def _has_place(distribution: BaseDistribution, value: CategoricalChoiceType) -> bool:
    if isinstance(distribution, FloatDistribution):
        return isinstance(value, float) and distribution.low <= value <= distribution.high
    return True
