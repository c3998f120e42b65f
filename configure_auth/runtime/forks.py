"""What must be reset in the child of a fork: connections, locks and threads that belong to the parent.

With `gunicorn --preload`, for example, two processes would share a socket, and each would read responses meant for the
other.
"""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class _Closing(Protocol):
    def _before_fork(self) -> None: ...


class _Resetting(Protocol):
    def _after_fork(self) -> None: ...


_closing: weakref.WeakSet[_Closing] = weakref.WeakSet()
_resetting: weakref.WeakSet[_Resetting] = weakref.WeakSet()
_abandoned: list[object] = []


def before_fork(owner: _Closing) -> None:
    """Call `owner._before_fork()` in the parent before each fork, as long as the owner exists."""
    _closing.add(owner)


def reset_after_fork(owner: _Resetting) -> None:
    """Call `owner._after_fork()` in the child after each fork, as long as the owner exists."""
    _resetting.add(owner)


def abandon(value: object) -> None:
    """Keep a value of the parent in the child for ever, so that nothing closes what the parent still uses."""
    _abandoned.append(value)


def _before() -> None:
    for owner in list(_closing):
        owner._before_fork()


def _after() -> None:
    for owner in list(_resetting):
        owner._after_fork()


if hasattr(os, "register_at_fork"):  # not on Windows, where processes don't fork
    os.register_at_fork(before=_before, after_in_child=_after)
