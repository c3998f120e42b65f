"""The requests that a sandbox got, in the order of arrival."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from itertools import islice

from .values import Call


class RequestLog:
    """Keeps the last `most` requests, all of them for None. Safe to use from any thread."""

    def __init__(self, most: int | None = None) -> None:
        self._lock = threading.Lock()
        self._entries: deque[list[Call]] = deque(maxlen=most)
        self._count = 0

    def record(self, call: Call) -> Callable[[int], None]:
        """Keep a request; return a function that sets the status of its response."""
        entry = [call]
        with self._lock:
            self._entries.append(entry)
            self._count += 1

        def set_status(status: int) -> None:
            entry[0] = replace(call, status=status)

        return set_status

    def calls(self) -> list[Call]:
        with self._lock:
            return [call for (call,) in self._entries]

    def latest(self, most: int) -> tuple[list[Call], int]:
        """Return the last requests, newest first, and the number of all of them."""
        with self._lock:
            return [call for (call,) in islice(reversed(self._entries), most)], self._count

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()
            self._count = 0
