"""Fields of a study that would change nothing beside its others: see `trainer.recipe.idle_fields`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, assert_never

from sweeper.study.field_error import FieldError, Loc
from sweeper.study.knobs import KNOBS, TAU_UNITS, Knob
from sweeper.study.pruners import PRUNERS
from trainer.recipe import VARIANTS
from trainer.recipe.idle_fields import Acts, idle_fields

if TYPE_CHECKING:
    from sweeper.study.space import Form
    from sweeper.study.study import Study


def _may_stop(study: Study) -> bool:
    """Whether the pruner can stop anything: one that judges trials needs a rung before their end."""
    stops = PRUNERS[study.screen.pruner].stops
    match stops:
        case "cells":
            return True
        case "trials":
            return len(study.screen.rungs) > 1
        case "nothing":
            return False
        case _:
            assert_never(stops)


def _needs_variant(knob: Knob) -> str:
    known = [repr(name) for name in VARIANTS if knob.applies(name)]
    return f"must stand beside variant {' or '.join(known)}: no other has it"


def _of_space(knob: Knob) -> Callable[[Study], bool]:
    return lambda study: any(map(knob.applies, study.space.variant))


def _of_form(knob: Knob) -> Callable[[Form], bool]:
    return lambda form: knob.applies(form.variant)


# What tau is in units of is refused of a variant that does not have them, with those that do.
_SOME_VARIANTS = tuple(knob for knob in KNOBS if knob is not TAU_UNITS and not all(map(knob.applies, VARIANTS)))

STUDY: tuple[Acts[Study], ...] = (
    Acts(
        "recipe.eval.cfg_curve",
        lambda study: study.confirm is not None,
        "must stand beside a confirm stage, whose trials alone are measured at these scales",
    ),
    Acts(
        "recipe.eval.full_samples",
        lambda study: study.confirm is not None or study.recipe.eval.full_samples == "none",
        "must stand beside a confirm stage, whose trials alone have a full metric",
    ),
    Acts(
        "screen.pruner",
        lambda study: PRUNERS[study.screen.pruner].stops != "trials" or _may_stop(study),
        "must stand beside a rung before the last, at which it would stop trials",
    ),
    Acts(
        "screen.audit_fraction",
        lambda study: study.screen.audit_fraction == 0 or _may_stop(study),  # 0 says what is so
        "must stand beside a pruner that stops something: it is a share of what that would stop",
    ),
    Acts(
        "confirm.equivalence",
        lambda study: study.confirm is not None and study.confirm.seeds == "auto",
        "must stand beside 'seeds: auto': it decides who takes further seeds",
    ),
    *(Acts(f"space.{knob.field}", _of_space(knob), _needs_variant(knob)) for knob in _SOME_VARIANTS),
)
FORM: tuple[Acts[Form], ...] = tuple(Acts(knob.field, _of_form(knob), _needs_variant(knob)) for knob in _SOME_VARIANTS)


def idle_in_study(study: Study) -> Iterator[FieldError]:
    """Yield each field of a study that changes nothing; those of its recipe and its settings have been looked at."""
    return (FieldError(*idle) for idle in idle_fields(study, STUDY))


def idle_in_form(form: Form, loc: Loc) -> Iterator[FieldError]:
    """Yield each field of one setting, written at `loc`, that its variant does not have."""
    return (FieldError((*loc, *idle.loc), idle.says, idle.value) for idle in idle_fields(form, FORM))
