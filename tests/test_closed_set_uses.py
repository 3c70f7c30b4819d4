"""What is done with closed sets of words: tables and options have every member, and code dispatches by `match`."""

from __future__ import annotations

import ast
from collections.abc import Collection

from tests.places import ROOT
from tests.test_closed_sets import closed_sets, sources

# Tables over a set that lack members on purpose; whoever reads them asks first, or has a word for the rest.
PARTIAL = {
    "sweeper/ledger/mlflow_states.py: TRIAL_STATUS": "a trial has no run in MLflow while it waits",
    "sweeper/render/tables/symbols.py: SAID": "a standing without a sign has no legend",
    "sweeper/render/tables/symbols.py: SIGNS": "a standing that shows nothing has no sign",
    "trainer/evaluation/held_out.py: HELD_OUT_METRICS": "the other metrics are of samples",
    "trainer/recipe/metrics.py: DISTANCES": "through Inception, or the domain extractor, the distance is called FID",
}
# The words of a command's option or argument, and the set that the command takes.
OPTIONS = {
    "sweeper/cli/arguments.py: AuditName": "sweeper/commands/audit.py: AuditName",
    "sweeper/cli/arguments.py: GuideFormat": "sweeper/render/guide_files.py: Format",
    "sweeper/cli/arguments.py: SchemaOf": "sweeper/commands/schema.py: Described",
    "sweeper/cli/arguments.py: StageName": "sweeper/records.py: Stage",
    "sweeper/cli/arguments.py: ExportFormat": "sweeper/commands/export.py: ExportFormat",
    "sweeper/cli/kept_models.py: SolverName": "trainer/recipe/evaluation.py: Solver",
}
TEMPLATES = "sweeper/cli/arguments.py: TemplateName"  # the files of sweeper/templates/


def tables() -> dict[str, tuple[str, set[str]]]:
    """Every module's table that is annotated with a set, by file and name: the set's name, and the table's keys."""
    known = {name.split(": ")[1] for name in closed_sets()}
    return {
        f"{file}: {ast.unparse(node.target)}": (alias, {key.value for key in keys if isinstance(key.value, str)})
        for file, tree in sources()
        for node in tree.body
        if isinstance(node, ast.AnnAssign)
        and (alias := _key_type(node.annotation)) in known
        and isinstance(node.value, ast.Dict)
        and (keys := [key for key in node.value.keys if isinstance(key, ast.Constant)])
    }


def _key_type(annotation: ast.expr) -> str:
    if isinstance(annotation, ast.Subscript) and isinstance(annotation.slice, ast.Tuple):
        return ast.unparse(annotation.slice.elts[0])
    return ""


def lacking(found: dict[str, tuple[str, set[str]]]) -> dict[str, set[str]]:
    """Return which members each table lacks; those that lack none are left out."""
    members: dict[str, list[set[str]]] = {}
    for name, words in closed_sets().items():
        members.setdefault(name.split(": ")[1], []).append(words)
    short = {
        name: min((words - keys for words in members[alias] if words & keys), key=len, default=set())
        for name, (alias, keys) in found.items()
    }
    return {name: words for name, words in short.items() if words}


def test_a_table_over_a_set_has_every_member() -> None:
    assert len(tables()) > 20
    found = lacking(tables())
    undecided = {name: words for name, words in found.items() if name not in PARTIAL}
    assert not undecided, f"these tables lack members (a table that may is in PARTIAL): {undecided}"
    assert found.keys() == PARTIAL.keys()


def test_a_table_that_lacks_a_member_is_noticed() -> None:
    assert lacking({"sweeper/new.py: WORDS": ("Stage", {"screen"})}) == {"sweeper/new.py: WORDS": {"confirm"}}


def enumerations() -> dict[str, set[str]]:
    """The words of every enumeration of the command line."""
    return {
        f"{file}: {node.name}": {ast.literal_eval(one.value) for one in node.body if isinstance(one, ast.Assign)}
        for file, tree in sources()
        if file.startswith("sweeper/cli/")
        for node in tree.body
        if isinstance(node, ast.ClassDef) and [ast.unparse(base) for base in node.bases] == ["StrEnum"]
    }


def test_an_option_offers_what_its_command_takes() -> None:
    offered, taken = enumerations(), closed_sets()
    templates = {file.stem for file in (ROOT / "sweeper/templates").glob("*.yaml")}
    assert offered == {option: taken[name] for option, name in OPTIONS.items()} | {TEMPLATES: templates}


def dispatched_by_if(tree: ast.Module, sets: Collection[set[str]]) -> list[str]:
    """Name the functions that ask twice by `if` which member a value is: the next member would fall through."""
    found = []
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            asked: dict[str, set[str]] = {}
            for node in ast.walk(function):
                if isinstance(node, ast.If | ast.IfExp) and isinstance(node.test, ast.Compare):
                    word = node.test.comparators[0]
                    if isinstance(word, ast.Constant) and isinstance(word.value, str):
                        asked.setdefault(ast.unparse(node.test.left), set()).add(word.value)
            if any(len(words & members) > 1 for words in asked.values() for members in sets):
                found.append(function.name)
    return found


def test_code_dispatches_on_a_set_by_match() -> None:
    sets = closed_sets().values()
    assert [(file, found) for file, tree in sources() if (found := dispatched_by_if(tree, sets))] == []


def test_a_dispatch_by_if_is_noticed() -> None:
    lines = ("def f(kind):", "    if kind == 'screen':", "        return 1", "    return 2 if kind == 'confirm' else 3")
    assert dispatched_by_if(ast.parse("\n".join(lines)), closed_sets().values()) == ["f"]
