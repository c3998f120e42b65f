"""A race that both lose, for stores that look first and then write."""

from __future__ import annotations

import threading

__all__ = ["TwoAtOnce"]


class TwoAtOnce:
    """Lets the first one that comes by wait for a second one, so that both have read before either writes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._second = threading.Event()
        self._came = 0

    def meet(self) -> None:
        with self._lock:
            self._came += 1
            if self._came == 2:
                self._second.set()
        self._second.wait(5)
