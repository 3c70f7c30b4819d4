"""What a driver's environment holds is not sent to its workers, whose nodes may write it into their logs."""

from __future__ import annotations

import pytest
from ray.tune.execution import class_cache

from sweeper.placement.tuner import _credentials_kept


def test_a_trial_gets_no_credentials_of_the_drivers(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, dict[str, str]]] = []

    def remote(runtime_env: dict[str, dict[str, str]]) -> object:
        asked.append(runtime_env)
        return lambda trainable: trainable

    monkeypatch.setattr(class_cache.ray, "remote", remote)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "canary")
    for guarded in (False, True):
        if guarded:
            with _credentials_kept():
                class_cache._ActorClassCache().get(object)
        else:
            class_cache._ActorClassCache().get(object)
    sent = ["canary" in environment["env_vars"].values() for environment in asked]
    assert sent == [True, False]  # else Tune sends none any more, and the guard can go
