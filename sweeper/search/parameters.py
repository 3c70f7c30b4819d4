"""How trials look in Optuna: parameters people can read, with distributions that only ever grow within a study."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from optuna.distributions import (
    BaseDistribution,
    CategoricalChoiceType,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from sweeper.plan.cells import block_choices, cells
from sweeper.records import Cell, TrialSpec
from sweeper.study import Axis, Range, Study, block_name, values
from trainer.recipe import VARIANTS

Params = dict[str, CategoricalChoiceType]
Distributions = dict[str, BaseDistribution]


class Knobs:
    """The parameters of one Optuna study: block, lambda, tau, variant, seed and, on control arms, control.

    Optuna refuses choices that change, so all are fixed beforehand, from the study as far as it tells; what a study
    that is extended adds to them is appended. A list is
    a categorical axis; a range that random or tpe draws from is continuous. A knob that does nothing (of the
    baseline, of a control, tau of 'covariance') is None where categorical, and absent where continuous; lambda 0
    is shown except on a log axis, which has no place for it.
    """

    def __init__(self, study: Study, trials: Sequence[TrialSpec], stored: Mapping[str, BaseDistribution]) -> None:
        self._taps = study.recipe.model.taps
        shown = list({cell.key: cell for cell in (*cells(study), *(trial.cell for trial in trials))}.values())
        seeds = {trial.seed for trial in trials} or {*study.screen.seeds}
        blocks = [*block_choices(study), *(cell.dispersion.blocks for cell in shown if cell.role == "grid")]
        continuous = study.screen.sampler != "grid"
        wanted: Distributions = {
            "block": _choices([None, *(block_name(chosen, self._taps) for chosen in blocks)]),
            "lambda": _axis(study.space.lam, [cell.dispersion.lam for cell in shown], continuous),
            "tau": _axis(study.space.tau, [_tau(cell) for cell in shown], continuous),
            "variant": _choices([None, *VARIANTS]),
            "seed": IntDistribution(min(seeds), max(seeds)),
        }
        if controls := [cell.label for cell in shown if cell.role == "control"]:
            wanted["control"] = _choices(controls)
        self._distributions = {name: _settled(wanted[name], stored.get(name)) for name in wanted}

    def of(self, trial: TrialSpec) -> tuple[Params, Distributions]:
        """Return a trial's parameters and their distributions."""
        setting, acts = trial.cell.dispersion, trial.cell.role == "grid"
        wanted: Params = {
            "block": block_name(setting.blocks, self._taps) if acts else None,
            "lambda": setting.lam,
            "tau": _tau(trial.cell),
            "variant": setting.variant if acts else None,
            "seed": trial.seed,
        }
        if trial.cell.role == "control":
            wanted["control"] = trial.cell.label
        params = {name: value for name, value in wanted.items() if _has_place(self._distributions[name], value)}
        return params, {name: self._distributions[name] for name in params}


def space(study: Study) -> Distributions:
    """Return what random and tpe draw from: the study's own lists and ranges, nothing around them.

    Without a variant that has a tau, tau is drawn from one value.
    """
    taps = study.recipe.model.taps
    has_tau = any(VARIANTS[variant].tau for variant in study.space.variant)
    return {
        "block": _choices(block_name(chosen, taps) for chosen in block_choices(study)),
        "lambda": _drawn(study.space.lam),
        "tau": _drawn(study.space.tau) if has_tau else _choices([idle_tau(study)]),
        "variant": _choices(study.space.variant),
    }


def idle_tau(study: Study) -> float:
    """Return the tau that stands for none: a variant may have none, but samplers need one."""
    taus = study.space.tau
    return taus.low if isinstance(taus, Range) else taus[0]


def _drawn(axis: Axis) -> BaseDistribution:
    if isinstance(axis, Range):
        return FloatDistribution(axis.low, axis.high, log=axis.scale == "log")
    return _choices(values(axis))


def _axis(axis: Axis, used: Sequence[float | None], continuous: bool) -> BaseDistribution:
    """Return the axis widened by the values that cells outside it use (None: a knob that does nothing)."""
    if not (continuous and isinstance(axis, Range)):
        # None and lambda 0 come first, then the rest as a reader would sort it.
        known = sorted({value for value in (*values(axis), *used) if value is not None})
        return _choices([None, *known] if None in used else known)
    log = axis.scale == "log"
    places = [axis.low, axis.high, *(value for value in used if value is not None and (value > 0 or not log))]
    return FloatDistribution(min(places), max(places), log=log)


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


def _tau(cell: Cell) -> float | None:
    acts = cell.role == "grid" and cell.dispersion.has_tau
    return cell.dispersion.tau if acts else None
