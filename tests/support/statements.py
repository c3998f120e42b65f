"""Every SQL statement that a store runs, seen from below it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from configure_auth.stores import databases

__all__ = ["each_statement"]


@contextmanager
def each_statement(after: Callable[[str], object], before: Callable[[str], object] = len) -> Iterator[None]:
    """Call `after`, and `before`, with each statement that is run, BEGIN and COMMIT too."""
    to_sqlite, to_postgresql = databases._on_sqlite, databases.Postgresql._on

    def told(run: Any) -> Any:
        async def running(statement: str, /, **values: Any) -> Any:
            before(statement.strip())
            rows = await run(statement, **values)
            after(statement.strip())
            return rows

        return running

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(databases, "_on_sqlite", lambda connection: told(to_sqlite(connection)))
        patch.setattr(databases.Postgresql, "_on", lambda pool, *given: told(to_postgresql(pool, *given)))
        yield
