"""The knobs a study sweeps: one descriptor per knob, which plan, search, record, maps, tables and next study use.

A knob is a field of `trainer.recipe.Dispersion` that `Space` and `ExtraCell` have under the knob's name. Code that is
about one knob in particular (saturation is about tau, a weaker loss about lambda) names it; everything else iterates
over `KNOBS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

from sweeper.study.blocks import as_written, block_indices, block_name
from sweeper.study.space import ExtraCell, Range, Space, values
from trainer.recipe import VARIANTS, Dispersion, Distance, Features, TauUnits, Variant

if TYPE_CHECKING:
    from sweeper.study.study import Study

# A Dispersion's fields have many types (blocks, a number, a variant), and each knob knows its own.
Value = Any
Word = float | str  # as people and Optuna have a value
Taps = Sequence[str]
KnobAxis = Range | tuple[Value, ...]


def _as_it_is(value: Value, _taps: Taps) -> Value:
    return value


def _always(_variant: Variant) -> bool:
    return True


def _itself(value: Value) -> tuple[object, ...]:
    return (value,)


class Knob(NamedTuple):
    """One knob of the Dispersive Loss.

    `name` is its word in study files, Optuna, MLflow, exports and guides, `field` that of a Dispersion.
    `of_space` returns what a space has for it, as written; `of_cell` what an extra cell has. `read` turns one written
    value into the loss's, `write` turns it back. `phrase` is what a label says of a setting, 'name value' where it is
    None. `applies` says for which variants the knob does anything; elsewhere a setting has `idle`, so that one loss has
    one spelling. `off` is its word at lambda 0, None where it has none. `every` are all values there can be, where
    they are few. `usual` is a value that goes without saying. `rank` orders values for readers. `needs_gradient`: the
    knob does nothing where the loss is at its floor. `unbounded`: a next study may go beyond the edge of this one's
    values. `later`: it was added after studies had been recorded, and is no parameter of a study in which it stands at
    its usual value everywhere. `listed`: it is a parameter only where a space lists several values.
    """

    name: str
    field: str
    of_space: Callable[[Space], Range | Sequence[object]]
    of_cell: Callable[[ExtraCell], object]
    read: Callable[[Any, Taps], Value] = _as_it_is
    write: Callable[[Value, Taps], object] = _as_it_is
    phrase: Callable[[Dispersion, Taps], str] | None = None
    applies: Callable[[Variant], bool] = _always
    idle: Value | None = None
    off: Word | None = None
    every: tuple[Word, ...] = ()
    usual: Value | None = None
    rank: Callable[[Value], tuple[object, ...]] = _itself
    needs_gradient: bool = False
    unbounded: bool = False
    later: bool = False
    listed: bool = False

    @property
    def words(self) -> str:
        """The knob's name for readers."""
        return in_words(self.name)

    def axis(self, study: Study) -> KnobAxis:
        """Return what the study sweeps: a range, or each value once in the order written."""
        written, taps = self.of_space(study.space), study.recipe.model.taps
        if isinstance(written, Range):
            return written
        return tuple(dict.fromkeys(self.read(value, taps) for value in written))

    def points(self, study: Study) -> tuple[Value, ...]:
        """Return the values of a grid over the study's axis."""
        axis = self.axis(study)
        return values(axis) if isinstance(axis, Range) else axis

    def of(self, setting: Dispersion) -> Value | None:
        """Return a setting's value; None where the knob does nothing."""
        acts = setting.lam > 0 and self.applies(setting.variant)
        return getattr(setting, self.field) if acts else None

    def shown(self, setting: Dispersion, taps: Taps) -> Word | None:
        """Return a setting's value as people and Optuna have it: `off` at lambda 0, None where it does nothing."""
        value = self.of(setting)
        return self.off if setting.lam == 0 else None if value is None else word(value, taps)

    def said(self, setting: Dispersion, taps: Taps) -> str:
        """Return this knob's part of a label; empty for the usual value."""
        value = self.of(setting)
        if value is None or value == self.usual:
            return ""
        return self.phrase(setting, taps) if self.phrase else f"{self.words} {level(value, taps)}"


def in_words(name: str) -> str:
    """Return a knob's name for readers: 'local batch'."""
    return name.replace("_", " ")


def word(value: Value, taps: Taps) -> Word:
    """Return a value as Optuna, MLflow and tables have it: '0+3' or 'all' for blocks, else the value itself."""
    return block_name(value, taps) if isinstance(value, tuple) else value


def level(value: Value, taps: Taps) -> str:
    """Write a value for a reader: '0+3', '0.25', 'hinge'; a number with all its digits."""
    if not isinstance(value, float):
        return str(word(value, taps))
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


def _block_phrase(setting: Dispersion, taps: Taps) -> str:
    name = block_name(setting.blocks, taps)
    return "all blocks" if name == "all" else f"block{'s' if len(setting.blocks) > 1 else ''} {name}"


def _tau_phrase(setting: Dispersion, taps: Taps) -> str:
    return f"tau {level(setting.tau, taps)}" + ("" if setting.tau_units == TAU_UNITS.usual else f" {setting.tau_units}")


BLOCK = Knob(
    name="block",
    field="blocks",
    of_space=lambda space: space.block,
    of_cell=lambda cell: cell.block,
    phrase=_block_phrase,
    read=block_indices,
    write=as_written,
    rank=lambda blocks: (len(blocks), blocks),
    needs_gradient=True,
)
LAMBDA = Knob(
    name="lambda",
    field="lam",
    of_space=lambda space: space.lam,
    of_cell=lambda cell: cell.lam,
    off=0.0,
    unbounded=True,
)
TAU = Knob(
    name="tau",
    field="tau",
    of_space=lambda space: space.tau,
    of_cell=lambda cell: cell.tau,
    phrase=_tau_phrase,
    applies=lambda variant: VARIANTS[variant].tau is not None,
    idle=1.0,
    needs_gradient=True,
    unbounded=True,
)
VARIANT = Knob(
    name="variant",
    field="variant",
    of_space=lambda space: space.variant,
    of_cell=lambda cell: cell.variant,
    phrase=lambda setting, _taps: setting.variant,
    every=tuple(VARIANTS),
    usual="l2",
)
LOCAL_BATCH = Knob(
    name="local_batch",
    field="local_batch",
    of_space=lambda space: space.local_batch,
    of_cell=lambda cell: cell.local_batch,
    usual="all",
    rank=lambda samples: (0 if samples == "all" else samples,),
    needs_gradient=True,
    later=True,
)
TAU_UNITS = Knob(
    name="tau_units",
    field="tau_units",
    of_space=lambda space: (space.tau_units,) if isinstance(space.tau_units, str) else space.tau_units,
    of_cell=lambda cell: cell.tau_units,
    phrase=lambda _setting, _taps: "",  # said with tau
    applies=TAU.applies,
    idle="absolute",
    every=get_args(TauUnits),
    usual="absolute",
    needs_gradient=True,
    listed=True,
)
DISTANCE = Knob(
    name="distance",
    field="distance",
    of_space=lambda space: space.distance,
    of_cell=lambda cell: cell.distance,
    phrase=lambda _setting, _taps: "summed distance",
    applies=lambda variant: VARIANTS[variant].has_distance,
    idle="mean",
    every=get_args(Distance),
    usual="mean",
    needs_gradient=True,
    later=True,
)
FEATURES = Knob(
    name="features",
    field="features",
    of_space=lambda space: space.features,
    of_cell=lambda cell: cell.features,
    phrase=lambda _setting, _taps: "layer-normalised",
    every=get_args(Features),
    usual="raw",
    needs_gradient=True,
    later=True,
)
NEGATIVES = Knob(
    name="negatives",
    field="negatives",
    of_space=lambda space: space.negatives,
    of_cell=lambda cell: cell.negatives,
    phrase=lambda setting, _taps: f"memory bank {setting.negatives}",
    applies=lambda variant: VARIANTS[variant].has_negatives,
    idle="batch",
    usual="batch",
    rank=lambda entries: (0 if entries == "batch" else entries,),
    needs_gradient=True,
    later=True,
)
LAMBDA_WARMUP = Knob(
    name="lambda_warmup",
    field="lam_warmup",
    of_space=lambda space: space.lam_warmup,
    of_cell=lambda cell: cell.lam_warmup,
    usual=0.0,
    later=True,
)
LAMBDA_END = Knob(
    name="lambda_end",
    field="lam_end",
    of_space=lambda space: space.lam_end,
    of_cell=lambda cell: cell.lam_end,
    usual=1.0,
    later=True,
)
KNOBS = (
    *(BLOCK, LAMBDA, TAU, VARIANT, LOCAL_BATCH, TAU_UNITS),
    *(DISTANCE, FEATURES, NEGATIVES, LAMBDA_WARMUP, LAMBDA_END),
)


def parameter_knobs(study: Study, settings: Iterable[Dispersion] = ()) -> tuple[Knob, ...]:
    """Return the knobs that are parameters of a study's trials, `settings` being trained beside its space."""
    chosen = {cell_setting(cell, study.recipe.model.taps) for cell in study.cells} | {*settings}

    def moves(knob: Knob) -> bool:
        if knob.listed:
            return len(knob.points(study)) > 1
        return knob.axis(study) != (knob.usual,) or any(knob.of(each) not in (None, knob.usual) for each in chosen)

    return tuple(knob for knob in KNOBS if not (knob.later or knob.listed) or moves(knob))


def setting_of(given: Mapping[str, Value]) -> Dispersion:
    """Return the setting with these values by knob name, in canonical form: knobs without effect are idle.

    A knob that is not given has its usual value.
    """
    variant: Variant = given[VARIANT.name]
    chosen = {knob.field: given.get(knob.name, knob.usual) if knob.applies(variant) else knob.idle for knob in KNOBS}
    return Dispersion.model_validate(chosen)


def cell_setting(cell: ExtraCell, taps: Taps) -> Dispersion:
    """Return what an extra cell trains in a model with these taps."""
    return setting_of({knob.name: knob.read(knob.of_cell(cell), taps) for knob in KNOBS})


def setting_label(setting: Dispersion, taps: Taps) -> str:
    """Write a setting in words, e.g. 'block 1, lambda 0.25, tau 0.5'; 'l2' and 'absolute' go without saying."""
    return ", ".join(filter(None, (knob.said(setting, taps) for knob in KNOBS)))


def written_values(setting: Dispersion, taps: Taps) -> dict[str, object]:
    """Return a setting as a study file has it."""
    return {knob.name: knob.write(getattr(setting, knob.field), taps) for knob in KNOBS}


def reading_order(setting: Dispersion) -> tuple[object, ...]:
    """Return a key that sorts settings for readers: by variant, then lambda, then the other knobs."""
    first = (VARIANT, LAMBDA, *(knob for knob in KNOBS if knob not in (VARIANT, LAMBDA)))
    return tuple(knob.rank(getattr(setting, knob.field)) for knob in first)
