"""`sweeper audit`: one of a guide's audits by itself, as a table and as an exit code for scripts."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, assert_never

from sweeper.guide.assemble import assemble_guide
from sweeper.guide.schema.audits import HealthAudit, ProxyAudit, PruningAudit, SeedAudit
from sweeper.guide.schema.guide import Guide
from sweeper.ledger import read_study
from sweeper.render.tables.claim_tables import passed, proxy_table, pruning_table, ranking
from sweeper.render.tables.guide_tables import health_table, table
from sweeper.render.tables.table import Table, to_markdown
from sweeper.text.numbers import MISSING, figure, percent, share
from sweeper.workspace import Workspace

AuditName = Literal["proxy", "pruning", "seeds", "health"]


class Audited(NamedTuple):
    """An audit, as text too, and whether its gate passes; one that could not be made does not."""

    audit: ProxyAudit | PruningAudit | SeedAudit | HealthAudit
    text: str
    passed: bool

    def as_json(self) -> dict[str, Any]:
        """Return what `audit --json` prints."""
        return self.audit.model_dump(mode="json")

    def describe(self) -> str:
        """Return what `audit` prints."""
        return self.text


def audit(name: AuditName, study_name: str, workspace: Workspace) -> Audited:
    """Make one audit of a recorded study. Raises StudyError where nothing is recorded, SetupError without a store."""
    guide = assemble_guide(read_study(workspace.tracking_uri, study_name, workspace.outbox(study_name)))
    models: dict[AuditName, ProxyAudit | PruningAudit | SeedAudit | HealthAudit] = {
        "proxy": guide.proxy,
        "pruning": guide.pruning,
        "seeds": guide.seeds,
        "health": guide.health_audit,
    }
    model, gate = models[name], models[name].gate
    parts = [f"{name} {passed(gate)}: {gate.says}", *filter(None, map(to_markdown, _tables(name, guide)))]
    return Audited(model, "\n\n".join(parts), gate.passed is True)


def _tables(name: AuditName, guide: Guide) -> tuple[Table, ...]:
    match name:
        case "proxy":
            agree = (("over trials", ranking(guide.proxy.trials)), ("over arms", ranking(guide.proxy.arms)))
            return (table(("Spearman's rho [95 %]", ""), agree if guide.proxy.full else ()), proxy_table(guide))
        case "pruning":
            return (_pruning(guide), pruning_table(guide))
        case "seeds":
            return (_seeds(guide),)
        case "health":
            return (health_table(guide),)
        case _:
            assert_never(name)


def _pruning(guide: Guide) -> Table:
    found = guide.pruning
    rows = [
        ("settings stopped, or audited instead", str(found.pruned)),
        ("audited: ran to their end", str(found.audited)),
        ("of those, possibly the best", str(found.killed)),
        ("share, 95 %", MISSING if found.low is None else f"{share(found.low)} to {share(found.high)}"),
    ]
    if found.rung:
        names = guide.words(found.rung), guide.words(guide.objective)
        rows.append((f"{names[0]} against {names[1]} at the end, Spearman's rho", ranking(found.ranking)))
    return table(("pruning", ""), rows)


def _seeds(guide: Guide) -> Table:
    found = guide.seeds
    rows = [
        ("spread between training seeds (baseline)", share(found.baseline_sd)),
        ("spread between sampling seeds", share(found.sampling_sd)),
        (f"spread of paired differences, {found.cells} settings", share(found.difference_sd)),
        ("correlation with the baseline over seeds", figure(found.pairing)),
        ("width of a paired interval / unpaired", figure(found.width_ratio)),
        (f"seeds for a gain of {percent(found.margin)}", MISSING if found.needed is None else str(found.needed)),
        (f"fresh seeds that {'are' if found.planning == 'planned' else 'would be'} planned", str(found.planned)),
        ("gain they show", share(found.detectable)),
        *((f"seeds for {effect:g} sd", MISSING if n is None else str(n)) for effect, n in found.for_effects),
    ]
    return table((f"log {guide.words(guide.objective)}, {percent(found.power)} power", ""), rows)
