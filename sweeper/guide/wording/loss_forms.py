"""How a study's settings differ from the usual form of the Dispersive Loss, so that a reader can compute them."""

from __future__ import annotations

from collections.abc import Collection

from sweeper.study.knobs import BLOCK, DISTANCE, FEATURES, KNOBS, LAMBDA_END, LAMBDA_WARMUP, NEGATIVES, TAU
from trainer.recipe import Dispersion


def forms(settings: Collection[Dispersion]) -> str:
    """Describe the forms that occur among settings with lambda above 0; empty where all are as usual."""
    said = {
        "summed distance: squared distances are not divided by their number of elements": DISTANCE,
        "layer-normalised: every token over its width, without weights (eps 1e-6)": FEATURES,
        "memory bank N: beside its batch a sample is compared with the last N representations of earlier steps (first "
        "in, first out, empty at the start, without gradient), and the floor of l2 is -log(B + N)": NEGATIVES,
        "lambda warmup: the share of steps over which lambda rises linearly from 0": LAMBDA_WARMUP,
        "lambda end: the share of steps after which lambda is 0; its health is that of a representation left to "
        "itself, and steps at the floor are counted while lambda is above 0": LAMBDA_END,
    }
    words = [text for text, knob in said.items() if any(knob.of(each) not in (None, knob.usual) for each in settings)]
    if any(each.lam > 0 and each.tau_units == "median" for each in settings):
        words.append("median: tau in units of the batch's median squared distance, gradient included")
    return "; ".join(words)


def on_unsaturated(shown: Collection[str]) -> str:
    """Name the knobs whose effect is taken on unsaturated settings, `shown` being those in the table."""
    more = [knob.words for knob in KNOBS if knob.needs_gradient and knob not in (BLOCK, TAU) and knob.name in shown]
    *first, last = ["block", "tau", *more]
    return f"{', '.join(first)} and {last}"
