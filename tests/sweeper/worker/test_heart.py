"""What a worker tells of itself while it trains: its card's memory too, where it has one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sweeper.records import CardMemory
from sweeper.worker.heart import Heart
from sweeper.worker.messages import Heartbeat
from tests.sweeper.coordinator.coordinators import claimed, open_coordinator, ready, study
from trainer.runtime import process

__all__ = ["ready"]  # a fixture, used by being here


def test_a_beat_carries_the_cards_memory_to_the_display_and_nothing_on_a_cpu(tmp_path: Path) -> None:
    coordinator = open_coordinator(tmp_path, study())
    assignment = claimed(coordinator)
    beats: list[Heartbeat] = []
    for card in (lambda: (3, 8), lambda: None):
        heart = Heart(beats.append, assignment, interval_s=0, card=card)
        heart.trains(1, 4, dict)
        heart.measures(4)
    assert [beat.card for beat in beats] == [CardMemory(used=3, total=8)] * 2 + [None] * 2
    for beat in beats[::2]:
        coordinator.beat(beat)
        (activity,) = coordinator.progress().activities
        assert activity.card == beat.card
    coordinator.close(interrupted=True, timeout=60)


def test_only_a_cohort_on_a_card_asks_for_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (5, 8))
    assert process.card_memory(0) is None
    assert process.card_memory(0.5) == (3, 8)

    def lost() -> tuple[int, int]:
        raise RuntimeError("CUDA error: unspecified launch failure")

    monkeypatch.setattr(torch.cuda, "mem_get_info", lost)
    assert process.card_memory(1) is None
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert process.card_memory(1) is None
