"""How many flows of a process may wait for a remote service at once, and none while it doesn't respond."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .forks import reset_after_fork

log: logging.Logger = logging.getLogger(__name__)

FAILURES = 3
"""Failures in a row that open the circuit."""

PAUSE = 5.0
"""Seconds for which an open circuit lets no flow pass; the next one is the probe."""


class Busy(Exception):
    """A flow may not begin now.

    Args:
        retry_after: seconds.
    """

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"try again in {retry_after:g} s")
        self.retry_after = retry_after


class Circuit:
    """A limit on flows under way, and a circuit breaker. One per process and app; it is thread-safe and never waits.

    Args:
        limit: flows under way at once; None for any number.
        clock: Unix seconds.
    """

    def __init__(self, limit: int | None = None, clock: Callable[[], float] = time.time) -> None:
        self._limit = limit
        self._clock = clock
        self._after_fork()
        reset_after_fork(self)

    def _after_fork(self) -> None:
        self._lock = threading.Lock()
        self._under_way = self._failures = 0
        self._probing = False
        self._opened_at: float | None = None
        self._failed_at = 0.0

    @property
    def is_open(self) -> bool:
        """Whether the service is taken to be down."""
        return self._opened_at is not None

    @contextmanager
    def passage(self) -> Iterator[None]:
        """Count a flow as under way within the block.

        Raises:
            Busy: the limit is reached, or the circuit is open.
        """
        is_probe = self._enter()
        try:
            yield
        finally:
            with self._lock:
                self._under_way -= 1
                self._probing = self._probing and not is_probe

    def _enter(self) -> bool:
        with self._lock:
            if self._opened_at is not None:
                # The clock of a machine may be set back.
                since = self._clock() - self._failed_at
                if self._probing or 0 <= since < PAUSE:
                    raise Busy(min(max(PAUSE - since, 1.0), PAUSE))
                self._probing = True
            elif self._limit is not None and self._under_way >= self._limit:
                raise Busy(1.0)
            self._under_way += 1
            return self._probing

    def report(self, *, responded: bool) -> None:
        """Report the end of a call: any response at all closes the circuit, failures in a row open it."""
        with self._lock:
            opened_at, now = self._opened_at, self._clock()
            if responded:
                self._opened_at, self._failures = None, 0
            else:
                self._failures, self._failed_at = self._failures + 1, now
                if opened_at is None and self._failures >= FAILURES:
                    self._opened_at = now
            is_begin, is_end = opened_at is None and self.is_open, opened_at is not None and responded
        if is_begin:
            log.error("Configure didn't respond %d times in a row: callbacks wait on a page until it does", FAILURES)
        elif is_end:
            log.warning("Configure responds again, after %.0f s", now - (opened_at or now))
