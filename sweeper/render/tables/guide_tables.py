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
    rows = [(rule.rule[:1].upper() + rule.rule[1:], rule.evidence, rule.grade) for rule in guide.rules]
    return table(("what", "evidence", "grade"), rows)


def correlation_table(guide: Guide) -> Table:
    """Tabulate which health figures go with the objective."""
    metric = guide.words(guide.objective)
    head = (f"over cells, against mean {metric}", "Spearman's rho [95 %]", "by chance", "cells")
    rows = []
    for correlation in guide.correlations:
        interval = (
            ""
            if correlation.low is None or correlation.high is None
            else f" [{correlation.low:+.2f}, {correlation.high:+.2f}]"
        )
        rows.append(
            (
                correlation.name,
                f"{correlation.rho:+.2f}{interval}",
                numbers.share(correlation.chance),
                str(correlation.n),
            )
        )
    return table(head, rows)


def prior_table(guide: Guide) -> Table:
    """Tabulate what others published beside what was seen here."""
    of = "" if guide.judges_by_fid else f" of {guide.words(guide.objective)}"
    head = ("setting", "published FID", "source", f"here: change{of} to the baseline")
    return table(
        head, [(prior_art.what, prior_art.published, prior_art.grade, prior_art.here) for prior_art in guide.prior_art]
    )


def item_table(name: str, items: Iterable[Item]) -> Table:
    """Tabulate named facts."""
    return table((name, ""), [(item.name, item.value) for item in items])


def model_table(guide: Guide) -> Table:
    """Tabulate whose weights were kept."""
    shown, more = guide.models[:MOST_ROWS], len(guide.models) - MOST_ROWS
    rows = [
        [kept_model.label, kept_model.stage, ", ".join(map(str, kept_model.seeds)), kept_model.trials[0]]
        for kept_model in shown
    ]
    rows += [[f"{more:,} more, listed in guide.json", "", "", ""]] if more > 0 else []
    return table(("weights kept of", "stage", "seeds", "trial of the first seed"), rows)


def shown_pages(guide: Guide) -> tuple[GridPage, ...]:
    """The grid's pages, when a reader can take them in; else none."""
    narrow = all(len(page.columns) <= WIDEST for page in guide.pages)
    return guide.pages if narrow and sum(len(page.rows) for page in guide.pages) <= MOST_GRID_ROWS else ()


def grid_table(guide: Guide, page: GridPage) -> Table:
    """Tabulate one page of the grid."""
    results = {result.key: result for result in guide.main.cells}
    marks = Marks.of(guide)
    rows = [
        (label, *(cell_text(results[k], marks) if k else "" for k in keys))
        for label, keys in zip(page.rows, page.keys, strict=True)
    ]
    return table((page.title, *page.columns), rows)


def arms_table(guide: Guide) -> Table:
    """Tabulate the baseline and the control arms, with what their training costs beside the baseline's."""
    marks, stage, metric = Marks.of(guide), guide.main, guide.words(guide.objective)
    arms = [result for result in (stage.baseline, *stage.controls) if result]
    same = beside_baseline(stage, arms)
    rows = [
        (
            _arm(result),
            cell_text(result, marks),
            *(figures(result.against) for _ in same),
            changed(result),
            _training_time(result, stage.baseline),
        )
        for result in arms
    ]
    first = "arm" if any(result.cell.dispersion.lam > 0 for result in arms) else "without dispersion"
    return table((first, metric, *same, "change to the baseline [95 %]", "training time"), rows)


def _training_time(result: CellResult, baseline: CellResult | None) -> str:
    """Write how long an arm trains: the baseline in seconds, the others in its times."""
    if result.train_s is None:
        return numbers.MISSING
    if result.cell.role == "baseline":
        return f"{result.train_s:.3g} s"
    return f"x {result.train_s / baseline.train_s:.2f}" if baseline and baseline.train_s else numbers.MISSING


def _arm(result: CellResult) -> str:
    return "baseline, lambda 0" if result.cell.role == "baseline" else f"control: {result.cell.label}"


def selection(guide: Guide, keys: Iterable[str]) -> list[CellResult]:
    """The settings a list shows: all, or when they are too many the lowest means and the marked ones."""
    wanted = set(keys)
    cells = [result for result in guide.main.cells if result.key in wanted]
    if len(cells) <= MOST_ROWS:
        return cells
    ranked = sorted(cells, key=lambda one: (one.mean is None, one.mean or 0.0, one.key))
    return ranked[:MOST_ROWS] + [result for result in ranked[MOST_ROWS:] if result.cell.mark]


def list_table(guide: Guide) -> Table:
    """Tabulate the settings that no page of the grid shows."""
    keys = guide.off_grid if shown_pages(guide) else [result.key for result in guide.main.cells]
    marks = Marks.of(guide)
    chosen = selection(guide, keys)
    same = beside_baseline(guide.main, chosen)
    rows = [
        (result.cell.label, cell_text(result, marks), *(figures(result.against) for _ in same), changed(result))
        for result in chosen
    ]
    return table(("setting", guide.words(guide.objective), *same, "change to the baseline [95 %]"), rows)


def compared_table(guide: Guide) -> Table:
    """Tabulate the screen's paired changes; none when there are too many."""
    stage, metric = guide.main, guide.words(guide.objective)
    measured = [result for result in stage.rows if result.change]
    if len(measured) > MOST_ROWS:
        measured = []
    marks, base, same = Marks.of(guide), stage.baseline, beside_baseline(stage, measured)
    rows = [
        (
            result.cell.label,
            cell_text(result, marks),
            *(figures(result.against) for _ in same),
            str(result.change.n if result.change else 0),
            changed(result),
        )
        for result in measured
    ]
    if base and rows:
        rows.insert(0, (_arm(base), cell_text(base, marks), *("" for _ in same), "", ""))
    return table(("cell", metric, *same, "shared seeds", "change to the baseline [95 %]"), rows)


def health_table(guide: Guide) -> Table:
    """Tabulate the loss's health for each cell."""
    dispersed = (result for result in guide.main.controls if result.cell.dispersion.lam > 0)
    shown = {
        result.key: result for result in (*dispersed, *selection(guide, [result.key for result in guide.main.cells]))
    }
    # Studies before these were recorded have tables without them.
    spread = any(health.uniformity_change is not None or health.alignment_ratio is not None for health in guide.health)
    rows = [
        (
            shown[health.key].cell.label + (" ◦" if shown[health.key].saturated else ""),
            f"{health.step:,}",
            numbers.share(health.floor_share),
            numbers.figure(health.floor_distance),
            numbers.figure(health.norm_ratio),
            numbers.figure(health.effective_rank),
            numbers.figure(health.rank_ratio),
            *((_signed(health.uniformity_change), numbers.figure(health.alignment_ratio)) if spread else ()),
        )
        for health in guide.health
        if health.key in shown
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
    shown = [highlight for highlight in guide.highlights if highlight.blocks]
    by_block = [{at.block: at for at in highlight.blocks} for highlight in shown]
    rows = []
    for block in sorted({at for one in by_block for at in one}):
        found = [one.get(block) for one in by_block]
        texts = (
            f"{numbers.figure(at.feature_norm)} / {numbers.figure(at.effective_rank)}" if at else "-" for at in found
        )
        rows.append((f"block {block}", *texts))
    return table(("norm / effective rank", *(highlight.label for highlight in shown)), rows)


def outcome_directions(guide: Guide) -> str:
    """Describe which direction is better in the other outcomes."""
    return directions(_outcome_metrics(guide))


def _outcome_metrics(guide: Guide) -> list[str]:
    """Name the metrics of the table in its order; a cell may lack some."""
    names = {outcome.metric for row in guide.outcomes for outcome in row.outcomes}
    return [known.name for known in recorded_metrics(names)]


def outcome_table(guide: Guide) -> Table:
    """Tabulate the other outcomes."""
    metrics = _outcome_metrics(guide)
    shown = {result.key for result in selection(guide, [result.key for result in guide.main.cells])}
    arms = {result.key for result in (guide.main.baseline, *guide.main.controls) if result}
    rows = []
    for row in guide.outcomes:
        found = {outcome.metric: outcome for outcome in row.outcomes}
        texts = (numbers.spread(found[m].mean, found[m].sd) if m in found else numbers.MISSING for m in metrics)
        if row.key in shown | arms:
            rows.append((row.label, *texts))
    return table(("cell", *map(numbers.metric_name, metrics)), rows)
