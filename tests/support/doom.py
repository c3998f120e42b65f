"""A process that kills itself by SIGKILL at a chosen step of what it does, as a machine that fails would."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from configure_auth.stores import Stores
from configure_auth.stores.opening import open_stores

from .statements import each_statement
from .wrapping import wrapped

__all__ = ["Doom", "Steps", "When", "doomed_stores", "doomed_transport"]

When = Literal["before", "after", "inside"]


@dataclass(frozen=True)
class Doom:
    """Before or after the so-many-eth step, which is a method of a store or a call to Configure; or "inside" of the
    saving of an account or of a journey's end, after so many of its SQL statements."""

    when: When
    step: int

    def steps(self) -> Steps:
        return Steps(self)


class Steps:
    """Counts what a process does, and ends it when its time has come."""

    def __init__(self, doom: Doom) -> None:
        self._doom = doom
        self._done = 0
        self._lock = threading.Lock()

    def around(self, step: Callable[..., Any], *, save: bool) -> Callable[..., Any]:
        def taken(*args: Any, **kwargs: Any) -> Any:
            if self._doom.when == "inside":
                return self._statement_by_statement(step, args, kwargs) if save else step(*args, **kwargs)
            self._count("before")
            done = step(*args, **kwargs)
            self._count("after")
            return done

        return taken

    def _statement_by_statement(self, step: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        with each_statement(lambda _: self._count("inside")):
            return step(*args, **kwargs)

    def _count(self, when: When) -> None:
        if when == self._doom.when:
            with self._lock:
                self._done += 1
                if self._done == self._doom.step:
                    os.kill(os.getpid(), signal.SIGKILL)


class _Doomed:
    """Whatever has methods, with each of them counted that is called."""

    def __init__(self, inner: Any, steps: Steps) -> None:
        self._inner = inner
        self._steps = steps

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        return self._steps.around(found, save=name in ("save", "complete")) if callable(found) else found


def doomed_stores(
    stores: Mapping[str, str], settings: Mapping[str, str], folder: Path, steps: Steps
) -> dict[str, Stores]:
    """The argument of `ConfigureAuth` for the same stores, counted."""
    opened = open_stores(
        stores["store"],
        stores.get("states"),
        agent=settings["CONFIGURE_AGENT"],
        fingerprints=(),
        folder=folder,
        awaited=False,
        local=True,
    )
    return {"store": wrapped(opened, lambda store, _name: _Doomed(store, steps))}


def doomed_transport(transport: Any, steps: Steps) -> Any:
    return _Doomed(transport, steps)
