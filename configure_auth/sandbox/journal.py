"""What was asked of a sandbox, in the order it arrived."""

from __future__ import annotations

import threading
from dataclasses import replace

from .values import Call


class Entry:
    """A call whose status comes later."""

    def __init__(self, call: Call) -> None:
        self.call = call

    def answered(self, status: int) -> None:
        self.call = replace(self.call, status=status)


class Journal:
    """Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: list[Entry] = []

    def record(self, call: Call) -> Entry:
        entry = Entry(call)
        with self._lock:
            self._entries.append(entry)
        return entry

    def calls(self) -> list[Call]:
        with self._lock:
            return [entry.call for entry in self._entries]

    def latest(self, most: int) -> tuple[list[Call], int]:
        """The last calls, newest first, and how many there were in all."""
        with self._lock:
            return [entry.call for entry in reversed(self._entries[-most:])], len(self._entries)

    def clear(self) -> None:
        with self._lock:
            self._entries = []
