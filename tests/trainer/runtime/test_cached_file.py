from __future__ import annotations

import logging
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

from trainer.runtime.cached_file import made_once


def make(log: Path, seconds: float = 0.0) -> dict[str, Tensor]:
    """Leave a line in `log` for every time something is made."""
    with log.open("a") as file:
        file.write(f"{os.getpid()}\n")
    time.sleep(seconds)
    return {"x": torch.arange(5)}


def ask(path: Path) -> int:
    return int(made_once(path, "me", partial(make, path.with_suffix(".log"), 0.5))["x"].sum())


def test_processes_that_ask_together_share_one_making(tmp_path: Path) -> None:
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        answers = list(pool.map(ask, [tmp_path / "x.safetensors"] * 2))
    assert answers == [10, 10]
    assert len((tmp_path / "x.log").read_text().splitlines()) == 1


@pytest.mark.parametrize(("damage", "owner"), [(True, "me"), (False, "another")])
def test_what_is_damaged_or_anothers_is_made_again_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: bool, owner: str
) -> None:
    path, log = tmp_path / "x.safetensors", tmp_path / "log"
    made_once(path, "me", partial(make, log))
    if damage:
        path.write_bytes(path.read_bytes()[:-3])
    with caplog.at_level(logging.WARNING):
        assert made_once(path, owner, partial(make, log))["x"].tolist() == [0, 1, 2, 3, 4]
    assert len(log.read_text().splitlines()) == 2
    assert "making it again" in caplog.text
