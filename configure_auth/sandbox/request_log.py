"""The requests that a sandbox got, in the order of arrival."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import replace
from itertools import islice

from .values import Call


class Entry:
    """A request whose status is set later."""

    def __init__(self, call: Call) -> None:
        self.call: Call = call

    def set_status(self, status: int) -> None:
        self.call = replace(self.call, status=status)


class RequestLog:
    """Keeps the last `most` requests, all of them for None. Safe to use from any thread."""

    def __init__(self, most: int | None = None) -> None:
        self._lock = threading.Lock()
        self._entries: deque[Entry] = deque(maxlen=most)
        self._count = 0

    def record(self, call: Call) -> Entry:
        entry = Entry(call)
        with self._lock:
            self._entries.append(entry)
            self._count += 1
        return entry

    def calls(self) -> list[Call]:
        with self._lock:
            return [entry.call for entry in self._entries]

    def latest(self, most: int) -> tuple[list[Call], int]:
        """Return the last requests, newest first, and the number of all of them."""
        with self._lock:
            return [entry.call for entry in islice(reversed(self._entries), most)], self._count

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()
            self._count = 0
