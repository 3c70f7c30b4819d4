"""A guide's tables: which rows and columns, and what stands in a cell; no format yet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sweeper.guide.analysis.grid_pages import WIDEST
from sweeper.guide.schema.guide import Guide
from sweeper.guide.schema.results import CellResult, GridPage, Item
from sweeper.guide.wording.directions import directions
from sweeper.render.tables.cell_figures import beside_baseline, cell_text, changed, figures
from sweeper.render.tables.symbols import Marks
from sweeper.render.tables.table import Table
from sweeper.text import numbers
from trainer.recipe import recorded_metrics

MOST_ROWS = 40
MOST_GRID_ROWS = 60


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """Freeze rows under their header."""
    return Table(tuple(header), tuple(tuple(row) for row in rows))


def rule_table(guide: Guide) -> Table:
    """Tabulate the advice."""
    rows = [(one.rule[:1].upper() + one.rule[1:], one.evidence, one.grade) for one in guide.rules]
    return table(("what", "evidence", "grade"), rows)


def correlation_table(guide: Guide) -> Table:
    """Tabulate which health figures go with the objective."""
    metric = guide.words(guide.objective)
    head = (f"over cells, against mean {metric}", "Spearman's rho [95 %]", "by chance", "cells")
    rows = []
    for one in guide.correlations:
        interval = "" if one.low is None or one.high is None else f" [{one.low:+.2f}, {one.high:+.2f}]"
        rows.append((one.name, f"{one.rho:+.2f}{interval}", numbers.share(one.chance), str(one.n)))
    return table(head, rows)


def prior_table(guide: Guide) -> Table:
    """Tabulate what others published beside what was seen here."""
    of = "" if guide.judges_by_fid else f" of {guide.words(guide.objective)}"
    head = ("setting", "published FID", "source", f"here: change{of} to the baseline")
    return table(head, [(one.what, one.published, one.grade, one.here) for one in guide.prior_art])


def item_table(name: str, items: Iterable[Item]) -> Table:
    """Tabulate named facts."""
    return table((name, ""), [(one.name, one.value) for one in items])


def model_table(guide: Guide) -> Table:
    """Tabulate whose weights were kept."""
    shown, more = guide.models[:MOST_ROWS], len(guide.models) - MOST_ROWS
    rows = [[one.label, one.stage, ", ".join(map(str, one.seeds)), one.trials[0]] for one in shown]
    rows += [[f"{more:,} more, listed in guide.json", "", "", ""]] if more > 0 else []
    return table(("weights kept of", "stage", "seeds", "trial of the first seed"), rows)


def shown_pages(guide: Guide) -> tuple[GridPage, ...]:
    """The grid's pages, when a reader can take them in; else none."""
    narrow = all(len(page.columns) <= WIDEST for page in guide.pages)
    return guide.pages if narrow and sum(len(page.rows) for page in guide.pages) <= MOST_GRID_ROWS else ()


def grid_table(guide: Guide, page: GridPage) -> Table:
    """Tabulate one page of the grid."""
    results = {one.key: one for one in guide.main.cells}
    marks = Marks.of(guide)
    rows = [
        (label, *(cell_text(results[k], marks) if k else "" for k in keys))
        for label, keys in zip(page.rows, page.keys, strict=True)
    ]
    return table((page.title, *page.columns), rows)


def arms_table(guide: Guide) -> Table:
    """Tabulate the baseline and the control arms, with what their training costs beside the baseline's."""
    marks, stage, metric = Marks.of(guide), guide.main, guide.words(guide.objective)
    arms = [one for one in (stage.baseline, *stage.controls) if one]
    same = beside_baseline(stage, arms)
    rows = [
        (
            _arm(one),
            cell_text(one, marks),
            *(figures(one.against) for _ in same),
            changed(one),
            _training_time(one, stage.baseline),
        )
        for one in arms
    ]
    first = "arm" if any(one.cell.dispersion.lam > 0 for one in arms) else "without dispersion"
    return table((first, metric, *same, "change to the baseline [95 %]", "training time"), rows)


def _training_time(one: CellResult, baseline: CellResult | None) -> str:
    """Write how long an arm trains: the baseline in seconds, the others in its times."""
    if one.train_s is None:
        return numbers.MISSING
    if one.cell.role == "baseline":
        return f"{one.train_s:.3g} s"
    return f"x {one.train_s / baseline.train_s:.2f}" if baseline and baseline.train_s else numbers.MISSING


def _arm(one: CellResult) -> str:
    return "baseline, lambda 0" if one.cell.role == "baseline" else f"control: {one.cell.label}"


def selection(guide: Guide, keys: Iterable[str]) -> list[CellResult]:
    """The settings a list shows: all, or when they are too many the lowest means and the marked ones."""
    wanted = set(keys)
    cells = [one for one in guide.main.cells if one.key in wanted]
    if len(cells) <= MOST_ROWS:
        return cells
    ranked = sorted(cells, key=lambda one: (one.mean is None, one.mean or 0.0, one.key))
    return ranked[:MOST_ROWS] + [one for one in ranked[MOST_ROWS:] if one.cell.mark]


def list_table(guide: Guide) -> Table:
    """Tabulate the settings that no page of the grid shows."""
    keys = guide.off_grid if shown_pages(guide) else [one.key for one in guide.main.cells]
    marks = Marks.of(guide)
    chosen = selection(guide, keys)
    same = beside_baseline(guide.main, chosen)
    rows = [
        (one.cell.label, cell_text(one, marks), *(figures(one.against) for _ in same), changed(one)) for one in chosen
    ]
    return table(("setting", guide.words(guide.objective), *same, "change to the baseline [95 %]"), rows)


def compared_table(guide: Guide) -> Table:
    """Tabulate the screen's paired changes; none when there are too many."""
    stage, metric = guide.main, guide.words(guide.objective)
    measured = [one for one in stage.rows if one.change]
    if len(measured) > MOST_ROWS:
        measured = []
    marks, base, same = Marks.of(guide), stage.baseline, beside_baseline(stage, measured)
    rows = [
        (
            one.cell.label,
            cell_text(one, marks),
            *(figures(one.against) for _ in same),
            str(one.change.n if one.change else 0),
            changed(one),
        )
        for one in measured
    ]
    if base and rows:
        rows.insert(0, (_arm(base), cell_text(base, marks), *("" for _ in same), "", ""))
    return table(("cell", metric, *same, "shared seeds", "change to the baseline [95 %]"), rows)


def health_table(guide: Guide) -> Table:
    """Tabulate the loss's health for each cell."""
    dispersed = (one for one in guide.main.controls if one.cell.dispersion.lam > 0)
    shown = {one.key: one for one in (*dispersed, *selection(guide, [one.key for one in guide.main.cells]))}
    # Studies before these were recorded have tables without them.
    spread = any(one.uniformity_change is not None or one.alignment_ratio is not None for one in guide.health)
    rows = [
        (
            shown[one.key].cell.label + (" ◦" if shown[one.key].saturated else ""),
            f"{one.step:,}",
            numbers.share(one.floor_share),
            numbers.figure(one.floor_distance),
            numbers.figure(one.norm_ratio),
            numbers.figure(one.effective_rank),
            numbers.figure(one.rank_ratio),
            *((_signed(one.uniformity_change), numbers.figure(one.alignment_ratio)) if spread else ()),
        )
        for one in guide.health
        if one.key in shown
    ]
    head = (
        "cell",
        "at step",
        "steps at the floor",
        "distance to floor",
        "norm / baseline",
        "effective rank",
        "rank / baseline",
        *(("uniformity - baseline", "alignment / baseline") if spread else ()),
    )
    return table(head, rows)


def _signed(value: float | None) -> str:
    return numbers.MISSING if value is None else f"{value:+.2f}"


def block_table(guide: Guide) -> Table:
    """Tabulate the highlighted cells' norm and rank by block."""
    shown = [one for one in guide.highlights if one.blocks]
    by_block = [{at.block: at for at in one.blocks} for one in shown]
    rows = []
    for block in sorted({at for one in by_block for at in one}):
        found = [one.get(block) for one in by_block]
        texts = (
            f"{numbers.figure(at.feature_norm)} / {numbers.figure(at.effective_rank)}" if at else "-" for at in found
        )
        rows.append((f"block {block}", *texts))
    return table(("norm / effective rank", *(one.label for one in shown)), rows)


def outcome_directions(guide: Guide) -> str:
    """Describe which direction is better in the other outcomes."""
    return directions(_outcome_metrics(guide))


def _outcome_metrics(guide: Guide) -> list[str]:
    """Name the metrics of the table in its order; a cell may lack some."""
    names = {found.metric for row in guide.outcomes for found in row.outcomes}
    return [known.name for known in recorded_metrics(names)]


def outcome_table(guide: Guide) -> Table:
    """Tabulate the other outcomes."""
    metrics = _outcome_metrics(guide)
    shown = {one.key for one in selection(guide, [one.key for one in guide.main.cells])}
    arms = {one.key for one in (guide.main.baseline, *guide.main.controls) if one}
    rows = []
    for row in guide.outcomes:
        found = {one.metric: one for one in row.outcomes}
        texts = (numbers.spread(found[m].mean, found[m].sd) if m in found else numbers.MISSING for m in metrics)
        if row.key in shown | arms:
            rows.append((row.label, *texts))
    return table(("cell", *map(numbers.metric_name, metrics)), rows)
