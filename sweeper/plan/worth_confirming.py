"""Which settings of a screen are worth confirming: one order, for the search that confirms them and the guide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def ranked(logs: Mapping[str, Sequence[float]]) -> list[str]:
    """Return settings' keys, best first, from the log objectives of their complete seeds: by their mean.

    Those complete on more seeds come before those on fewer, and one without any is not among them.

        >>> ranked({"a": [0.2, 0.4], "b": [0.1], "c": [0.1, 0.3], "d": []})
        ['c', 'a', 'b']
    """
    known = [key for key, values in logs.items() if values]
    return sorted(known, key=lambda key: (-len(logs[key]), sum(logs[key]) / len(logs[key]), key))
