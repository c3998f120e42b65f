"""The cases of one test, shared out among the adapters, so that `make test` doesn't run each case on each of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from zlib import crc32

import pytest

__all__ = ["mark_rotated_away"]

ROTATED = frozenset({"adapter", "ask", "at_once", "backend", "judge", "sandbox", "send", "served", "use"})
"""Fixtures and parameters that say who runs a case: an adapter, a blocking client, an event loop, a spelling."""


def mark_rotated_away(items: Iterable[pytest.Item]) -> None:
    """Mark as `extended` what another adapter runs in `make test`.

    The first case of a test runs on each value of a rotated parameter, each other case on one, in turn. A test marked
    `every_case` runs each case on each. Of the two adapters of ASGI, which share most of what they do, one is in turn
    where each would be.
    """
    functions: dict[tuple[str, str], list[pytest.Function]] = defaultdict(list)
    for item in items:
        if isinstance(item, pytest.Function) and hasattr(item, "callspec") and item.parent is not None:
            functions[item.parent.nodeid, item.originalname].append(item)
    for cases in functions.values():
        indices = [case.callspec.indices for case in cases]
        counts = {name: 1 + max(found.get(name, 0) for found in indices) for name in ROTATED.intersection(*indices)}
        for case in cases:
            number = sum(index for name, index in case.callspec.indices.items() if name not in counts)
            on = {name: case.callspec.indices[name] for name in counts}
            everywhere = number == 0 or case.get_closest_marker("every_case") is not None
            in_turn = everywhere or all(index == number % counts[name] for name, index in on.items())
            if everywhere and counts.get("adapter") == 3:
                in_turn = on["adapter"] in (0, 1 + (number + crc32(case.originalname.encode())) % 2)
            if not in_turn:
                case.add_marker(pytest.mark.extended)
