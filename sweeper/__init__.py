"""Studies of Dispersive Loss: plan, run and record them, and write a guide that claims no more than was measured.

    >>> import sweeper
    >>> study = sweeper.load("studies/smoke.yaml", {"recipe.train.steps": 40})
    >>> study.name, study.space.lam
    ('smoke', (0.05,))

`sweeper.plan(study)` says what it costs, `sweeper.run(study)` runs it to its guide, and `sweeper.open_guide(folder)`
reads one. Nothing heavy is imported before it is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sweeper.api.functions import atlas, audit, compare, load, open_guide, plan, report, run, status
    from sweeper.api.results import Answer, StudyGuide, StudyRun
    from sweeper.errors import ConflictError, DataError, SetupError, StudyError, SweeperError
    from sweeper.study import Study

_HOME = {
    "sweeper.api.functions": ("atlas", "audit", "compare", "load", "open_guide", "plan", "report", "run", "status"),
    "sweeper.api.results": ("Answer", "StudyGuide", "StudyRun"),
    "sweeper.errors": ("ConflictError", "DataError", "SetupError", "StudyError", "SweeperError"),
    "sweeper.study": ("Study",),
}
_MODULE = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "Answer",
    "ConflictError",
    "DataError",
    "SetupError",
    "Study",
    "StudyError",
    "StudyGuide",
    "StudyRun",
    "SweeperError",
    "atlas",
    "audit",
    "compare",
    "load",
    "open_guide",
    "plan",
    "report",
    "run",
    "status",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULE[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
