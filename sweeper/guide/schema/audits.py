"""The audits of a guide's own methods: proxy metric, pruner, number of seeds, health of the setting to use."""

from __future__ import annotations

from trainer.recipe import Frozen

WORTH_SAYING = 2 / 3  # of the seeds that looks take: fewer judged once


class Gate(Frozen):
    """Whether an audit passes; None where it could not be made, and `says` what was found or what is missing."""

    passed: bool | None = None
    says: str = ""


class Ranking(Frozen):
    """Spearman's rank agreement of `n` pairs, with its 95 % interval."""

    rho: float
    low: float | None
    high: float | None
    n: int


class ProxyAudit(Frozen):
    """Whether the proxy ranks finalists as the full metric does, over trials and over arms.

    `proxy_set` and `full_set` are the arms not shown worse than another by either metric; `rows` are arms with their
    geometric means by both.
    """

    full: str | None = None
    trials: Ranking | None = None
    arms: Ranking | None = None
    proxy_set: tuple[str, ...] = ()
    full_set: tuple[str, ...] = ()
    rows: tuple[tuple[str, float | None, float | None], ...] = ()
    gate: Gate = Gate()


class PruningAudit(Frozen):
    """Whether the pruner stopped what it should: `audited` of the `pruned` settings ran on, `killed` of them well.

    `killed` counts those that the end would not have distinguished from the best; the share has an exact 95 % interval.
    Where rungs before the last draw fewer samples, `rung` is their FID's name and `ranking` its agreement with the
    objective at the end, over the screen's complete trials.
    """

    rung: str | None = None
    ranking: Ranking | None = None
    pruned: int = 0
    audited: int = 0
    killed: int = 0
    low: float | None = None
    high: float | None = None
    rows: tuple[tuple[str, float | None, bool], ...] = ()
    gate: Gate = Gate()


class HealthAudit(Frozen):
    """Whether the setting to use is healthy: not saturated, and not won by growing the norm.

    Where none is confirmed to help, all settings that may be the best are looked at.
    """

    saturated: int = 0
    settings: int = 0
    flagged: tuple[str, ...] = ()
    gate: Gate = Gate()


class SeedAudit(Frozen):
    """How noisy the study is and what it would take to know more.

    Spreads are standard deviations of the log objective: .05 is about 5 %. `difference_sd` is pooled over `cells`
    cells and has a 95 % interval. `pairing` is the pooled correlation with the baseline over seeds, `width_ratio`
    the width of a paired interval relative to an unpaired one. `needed` seeds show a gain of `margin` with the
    desired `power` when they are fresh (one-sided paired t, Holm's first step over `top`); None when more than
    1,000. In looks both are of the looks' boundaries, and None also where arms with so small a gain are mostly
    given up; `needed_once` seeds show it judged once. `needed_fewest` and `needed_most` are `needed` at the ends of
    the interval of `difference_sd`. `planned` seeds show a gain of `detectable`. `sampling_sd` is the spread
    between two samplings of the same weights, over `sampling_runs`; `for_effects` pairs effects, in standard
    deviations of a difference, with the seeds that show them; `looks` say after how many fresh seeds finalists are
    judged, `planned` being the most; `skewness` is what the settings' own noise gives to differences, and
    `bad_runs` of `bad_of` runs of the screen ended far away from their settings' others; `chosen` is what `seeds:
    auto` took before there were looks.
    """

    margin: float
    top: int
    planned: int
    planning: str = "planned"
    power: float = 0.8
    baseline_sd: float | None = None
    difference_sd: float | None = None
    difference_sd_interval: tuple[float, float] | None = None
    cells: int = 0
    pairing: float | None = None
    width_ratio: float | None = None
    needed: int | None = None
    needed_fewest: int | None = None
    needed_most: int | None = None
    needed_once: int | None = None
    detectable: float | None = None
    sampling_sd: float | None = None
    sampling_runs: int = 0
    looks: tuple[int, ...] = ()
    skewness: float | None = None
    bad_runs: int = 0
    bad_of: int = 0
    chosen: int | None = None
    for_effects: tuple[tuple[float, int | None], ...] = ()
    gate: Gate = Gate()

    @property
    def needed_words(self) -> str:
        """How many fresh seeds the gain of `margin` takes, with what the interval of the noise makes of it."""
        once = self.needed_once if self.looks else None
        if self.needed is None and once is not None:
            return f"{once} fresh seeds if tested once at the end; tests at every look mostly give up so small a gain"
        if self.needed is not None and once is not None and once <= WORTH_SAYING * self.needed:
            return f"{self.needed} fresh seeds{self._needed_range}, or {once} if tested once at the end"
        return f"{'more than 1,000' if self.needed is None else self.needed} fresh seeds{self._needed_range}"

    @property
    def _needed_range(self) -> str:
        if self.needed is None or self.needed_fewest is None:
            return ""
        most = self.needed_most or f"more than {200 if self.looks else 1000:,}"
        return "" if most == self.needed_fewest else f" ({self.needed_fewest} to {most} by the noise's 95 % interval)"
