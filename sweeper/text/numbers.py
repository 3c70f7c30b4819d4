"""How a guide writes its numbers: three digits, the same everywhere, '-' for unknown values."""

from __future__ import annotations

import math

from trainer.recipe import recorded_metric

MISSING = "-"
INVERTED = "1/"  # of a metric that is better higher, where it is minimised


def figure(value: float | None) -> str:
    """Write a number with three significant digits: 12.0, 0.0123, 1,234."""
    if value is None:
        return MISSING
    size = abs(value)
    if value == 0:
        return "0"
    if size < 1e-4 or size >= 1e7:
        return f"{value:.2e}"
    if size >= 999.5:
        return f"{value:,.0f}"
    return f"{value:#.3g}".rstrip(".")


def spread(mean: float | None, sd: float | None) -> str:
    """Write a mean and its standard deviation, which one seed does not have."""
    text = figure(mean)
    if sd is None or "e" in text:
        return text if sd is None else f"{text} ± {figure(sd)}"
    decimals = len(text.partition(".")[2])
    rounded = f"{sd:,.{decimals}f}"
    # A small spread is written out rather than rounded to 0.
    return f"{text} ± {rounded if sd == 0 or float(rounded.replace(',', '')) > 0 else f'{sd:.1g}'}"


def signed(fraction: float) -> str:
    """Write a relative change in per cent without its unit: 0.041 -> '+4.1'; beyond tenfold only that it is."""
    value = 100 * fraction
    if value > 1000:
        return ">+1000"
    text = f"{value:+.1f}" if abs(value) < 9.95 else f"{value:+.0f}"
    return "0.0" if float(text) == 0 else text


def share(fraction: float | None) -> str:
    """Write a share in per cent: 0.35 -> '35 %'; a little is never written as none."""
    if fraction is None:
        return MISSING
    if 0 < fraction < 0.005:
        return "<1 %"
    if fraction > 10:
        return ">1000 %"
    return ">99 %" if 0.995 <= fraction < 1 else f"{100 * fraction:.0f} %"


def change(mean: float, low: float | None, high: float | None) -> str:
    """Write a relative change with its interval: '-4.1 % [-12, +5.2]'."""
    if low is None or high is None:
        return f"{signed(mean)} % (one seed, no interval)"
    return f"{signed(mean)} % [{signed(low)}, {signed(high)}]"


def confirmed_change(mean: float, low: float | None, high: float | None, bound: float | None) -> str:
    """Write a confirmed change with its interval or, where that holds 0, with the bound of its one-sided test.

    >>> confirmed_change(-0.14, -0.25, -0.02, -0.04), confirmed_change(-0.14, -0.3, 0.02, -0.01)
    ('-14 % [-25, -2.0]', '-14 % (at least -1.0 %)')
    """
    holds_0 = low is not None and high is not None and low <= 0 <= high
    if bound is None or not holds_0:
        return change(mean, low, high)
    return f"{signed(mean)} % (at least {signed(bound)} %)"


def duration(seconds: float | None) -> str:
    """Write seconds as a reader would say them: '42 s', '15 min', '3 h 20 min'."""
    if seconds is None or not math.isfinite(seconds):
        return MISSING
    if seconds < 90:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60:,} h {minutes % 60} min"


def metric_name(metric: str, distance: str = "FID") -> str:
    """Write a metric as readers know it: 'fid_10k' -> 'FID-10K', 'val_loss' -> 'validation loss'.

    `distance` is what the Frechet distance is called with the study's extractor.

    >>> metric_name("fid_10k", "FD-DINOv2"), metric_name("recall_10k", "FD-DINOv2"), metric_name("1/recall_10k")
    ('FD-DINOv2-10K', 'recall-10K', '1/recall-10K')
    """
    if metric.startswith(INVERTED):
        return INVERTED + metric_name(metric.removeprefix(INVERTED), distance)
    recorded = recorded_metric(metric)
    if recorded is None:
        return metric.replace("_", " ")
    words = distance if recorded.metric.name == "fid" else recorded.metric.words
    return f"{words}-{recorded.samples.upper()}" if recorded.samples else words


def memory_use(used: float, total: float) -> str:
    """Write how many bytes of a memory are used: '12.3 of 79.2 GiB'."""
    return f"{used / 2**30:.1f} of {total / 2**30:.1f} GiB"


def counted(count: int, one: str, many: str = "") -> str:
    """Write a count and its noun: '1 setting', '3,329 settings'."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def times(count: int) -> str:
    """Write how often something happened: 'once', '3 times'."""
    return "once" if count == 1 else f"{count} times"


def percent(fraction: float) -> str:
    """Write a fraction that someone chose, in per cent: 0.05 -> '5 %'."""
    return f"{100 * fraction:g} %"
