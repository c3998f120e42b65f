"""What an app's framework says of its set-up, as values. Nothing here says whether it is good."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from ...values import Secret

__all__ = ["Application", "Session", "Table", "Unvisited", "Visit", "Visited"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """The framework's own session, and the cookie that it is kept in. `path` and `domain` are the cookie's.

    `is_signed` is false where something else keeps the sessions, so that `secret_key` isn't what they hang on.
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
    """A table in which people may be: how its ids are made. `dialect` is None where its database isn't known.

    `reuses_ids` is whether SQLite, if that is the database, gives the id of a deleted row out again.
    """

    name: str
    dialect: str | None
    reuses_ids: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Visited:
    """What the app answered. `headers` has lower-case names; `body` is the first part of it.

    `has_session`: whether a session was there for whatever answered; None where the framework doesn't tell.
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
class Unvisited:
    """Why there was no answer; without the words of the app's own error, which may quote anything."""

    why: str


Visit: TypeAlias = Callable[[str, str, Mapping[str, str]], Any]
"""Asks the app for a page, in this process: `(method, path, headers)`. Nothing listens, nothing goes over a network.

It gives `Visited` or `Unvisited`; Starlette's is awaited. The code of the app runs as for any visitor, with whatever
that does. `path` is below what the app is mounted under, and may have a query. No redirect is followed.
"""


@dataclass(frozen=True, kw_only=True)
class Application:
    """An app around a `ConfigureAuth`.

    Args:
        framework: whose names the remedies have.
        session: None where none of the framework's kind can be seen.
        mount: the path that the app itself says it is mounted under, "" for none; `mount_by` is what says so.
        tables: those of the app's own database in which people may be.
        users: how the tables were found: named by an option, looked for, or not to be found in this app.
        visit: asks the app for a page.
    """

    framework: Literal["Flask", "Starlette"]
    session: Session | None
    mount: str
    mount_by: str
    tables: tuple[Table, ...]
    users: Literal["named", "found", "unseen"]
    visit: Visit = field(repr=False)
