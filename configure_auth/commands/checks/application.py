"""An app's own configuration, as its framework reports it. Nothing is judged here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from ...values import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """The framework's session. `path` and `domain` are its cookie's.

    `is_signed` is False if the app has another session implementation, for which `secret_key` may not matter.
    """

    secret_key: Secret | None
    is_signed: bool = True
    name: str
    is_secure: bool
    is_http_only: bool
    same_site: str | None
    domain: str | None
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table that may contain the app's users. `dialect` is None if its database is unknown.

    `reuses_ids`: whether SQLite, if that is the database, assigns the id of a deleted row again.
    """

    name: str
    dialect: str | None
    reuses_ids: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PageResponse:
    """A response of the app. `headers` have lower-case names; `body` is its first chunk.

    `has_session`: whether the handler had a session; None if the framework doesn't tell.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(repr=False)
    has_session: bool | None = None

    def all(self, name: str) -> list[str]:
        return [value for known, value in self.headers if known == name]

    def first(self, name: str) -> str | None:
        return next(iter(self.all(name)), None)


@dataclass(frozen=True, slots=True)
class NoResponse:
    """Why there is no response. The text of the app's exception is left out, because it may quote a secret."""

    why: str


RequestPage: TypeAlias = Callable[[str, str, Mapping[str, str]], Any]
"""Requests a page of the app in this process: `(method, path, headers)`, without a server or a network.

It returns a `PageResponse` or `NoResponse`; Starlette's is awaited. `path` is below the app's mount point, and may have
a query. Redirects aren't followed.
"""


@dataclass(frozen=True, kw_only=True)
class Framework:
    """What the checks have to know of one framework.

    Args:
        options: how an app sets the key and the cookie of its session, by what is set.
        exempt: what to change in a login guard for the features of these names.
        is_guarded: whether an app's login guard runs before our routes.
        has_lifespan: whether a page may fail because the app's lifespan wasn't run here.
    """

    options: Mapping[str, str]
    exempt: Callable[[Iterable[str]], str]
    is_guarded: bool
    has_lifespan: bool


@dataclass(frozen=True, kw_only=True)
class Application:
    """An app with a `ConfigureAuth`.

    Args:
        session: None if the framework's own session isn't installed.
        mount: the path that the app says it is mounted at, "" for the root; `mount_by` is the option that says so.
        tables: those of the app's database that may contain its users.
        users: how `tables` were found: named by an option, searched, or not searchable in this app.
        request: requests a page of the app.
        taken_by: names the handler that the app has in front of ours for a path; None where ours is the first.
    """

    framework: Framework
    session: Session | None
    mount: str
    mount_by: str
    tables: tuple[Table, ...]
    users: Literal["named", "found", "unseen"]
    request: RequestPage = field(repr=False)
    taken_by: Callable[[str], str | None] = lambda path: None


_TABLE_NAMES = frozenset(
    "user users account accounts member members person persons people auth_user auth_users app_user app_users "
    "customer customers".split()
)


def likely_user_tables(metadata: Any, dialect: str | None) -> Iterator[Table]:
    """Yield the tables of SQLAlchemy metadata that have a usual name for users."""
    for table in metadata.tables.values():
        if table.name.lower() in _TABLE_NAMES:
            yield _describe(table, dialect)


def table_of(users: object, dialect: str | None) -> Table | None:
    """Describe a mapped class or a `Table`; None for anything else."""
    table = getattr(users, "__table__", users)
    return _describe(table, dialect) if hasattr(table, "primary_key") and hasattr(table, "dialect_options") else None


def _describe(table: Any, dialect: str | None) -> Table:
    return Table(name=table.name, dialect=dialect, reuses_ids=_reuses_ids(table))


def _reuses_ids(table: Any) -> bool:
    """Whether the primary key is SQLite's rowid (a single INTEGER column) without AUTOINCREMENT."""
    from sqlalchemy.dialects import sqlite

    key = list(table.primary_key.columns)
    if len(key) != 1:
        return False
    column = key[0]
    if column.foreign_keys:
        # Joined inheritance: the id is assigned by the other table.
        return _reuses_ids(next(iter(column.foreign_keys)).column.table)
    if column.default is not None or column.type.compile(dialect=sqlite.dialect()) != "INTEGER":
        return False
    return not table.dialect_options["sqlite"]["autoincrement"]
