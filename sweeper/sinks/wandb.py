"""Weights & Biases: a run a trial in the study's project, grouped by stage, and the guide as a run of its own.

Runs are written offline unless WANDB_MODE says otherwise; `wandb sync` sends them.
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path
from typing import Any

from sweeper.errors import SetupError
from sweeper.sinks.protocol import PICTURES, Copy

GOOD = ("complete", "pruned")  # states that W&B shows as finished, others as failed


class WeightsAndBiases:
    """Runs of the project that has the study's name, in `folder`."""

    def __init__(self, folder: Path, project: str) -> None:
        """Raise SetupError if wandb is not installed or the folder cannot be made."""
        self._wandb = _wandb()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SetupError(
                f"{folder} cannot be made: {error.strerror}", "give another folder with --output"
            ) from error
        self._folder, self._project = folder, project

    def trial(self, copy: Copy) -> None:
        """Write its metrics by step; settings are the run's config."""
        run = self._run(copy.stage, copy.name, {**copy.settings, "cell": copy.cell})
        for step, metrics in copy.rungs:
            run.log(dict(metrics), step=step)
        run.summary["state"] = copy.state
        run.finish(exit_code=int(copy.state not in GOOD))

    def guide(self, folder: Path) -> None:
        """Write the guide's page and pictures."""
        run = self._run("guide", "guide", {})
        pictures = {name: self._wandb.Image(str(folder / name)) for name in PICTURES if (folder / name).is_file()}
        page = folder / "guide.html"
        run.log(pictures | ({"guide": self._wandb.Html(page.read_text(encoding="utf-8"))} if page.is_file() else {}))
        run.finish()

    def close(self) -> str:
        """Return the command that sends it."""
        return f"wandb sync {self._folder}/wandb/offline-run-*"

    def _run(self, group: str, name: str, config: dict[str, Any]) -> Any:
        # Of its own name, so that a trial that is sent again is the same run.
        identity = hashlib.sha256(f"{self._project} {group} {name}".encode()).hexdigest()[:16]
        quiet = self._wandb.Settings(console="off", silent=True, x_disable_stats=True, x_disable_meta=True)
        return self._wandb.init(
            project=self._project,
            group=group,
            name=name,
            id=identity,
            config=config,
            dir=str(self._folder),
            mode=os.environ.get("WANDB_MODE", "offline"),
            resume="allow",
            reinit="create_new",
            settings=quiet,
        )


def _wandb() -> Any:
    try:
        import wandb
    except ImportError as error:
        raise SetupError("wandb is not installed", f"{sys.executable} -m pip install wandb") from error
    return wandb
