"""How a store's method becomes a transaction, blocking or awaited as its database is."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from sqlalchemy import Connection

from .database import AnyDatabase

__all__ = ["PURGE", "SWEEP", "SqlStore", "reading", "transaction"]

P = ParamSpec("P")
T = TypeVar("T")

SWEEP = 20
"""How many ended records a new one takes with it, so that the table stays small without a job."""

PURGE = 1000
"""How many go in one step of a purge, so that nobody waits for it long."""


class SqlStore:
    """A store over one database, whose methods are `reading` or `transaction`."""

    def __init__(self, database: AnyDatabase) -> None:
        self._database = database


def reading(method: Callable[Concatenate[Any, Connection, P], T]) -> Callable[Concatenate[Any, P], T]:
    """`transaction` for what changes nothing, and so need not wait for who does."""

    @wraps(method)
    def perform(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return cast(T, self._database.read(lambda connection: method(self, connection, *args, **kwargs)))

    return perform


def transaction(method: Callable[Concatenate[Any, Connection, P], T]) -> Callable[Concatenate[Any, P], T]:
    """Run a method in a transaction of its own. On an asynchronous database the result is awaited."""

    @wraps(method)
    def perform(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return cast(T, self._database.perform(lambda connection: method(self, connection, *args, **kwargs)))

    return perform
