"""Where connections are kept, and the ids that they hang on."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import TYPE_CHECKING

from ...flows.effects import UseStore
from ...stores.memory import MemoryAccounts, MemoryStates
from .check import Finding, failed, passed, skipped, warned
from .facts import Application, Table

if TYPE_CHECKING:
    from .subject import Subject

__all__ = ["store", "user_ids", "workers", "workers_of"]

_NOBODY = "0" * 64
"""Of the shape of a hash. There is nothing under it."""


async def store(subject: Subject, application: Application) -> Finding:
    """Read what isn't there from each part of the store that every sign-in needs.

    Its first use is the app's: it makes the tables of an SQLite file, and notes the fingerprints of the keys.
    """
    assert subject.features is not None
    site = subject.features.site
    now = site.clock()
    await UseStore(
        lambda stores: stores.states.read(_NOBODY, browser_hash=_NOBODY, intent="link", agent=site.agent, now=now)
    )
    await UseStore(lambda stores: stores.accounts.owner(site.agent, _NOBODY))
    await UseStore(lambda stores: stores.parameters.read(_NOBODY))
    return passed("it answers, with the tables and the keys of this version")


async def workers(subject: Subject, application: Application) -> Finding:
    """Whether what lies in a process's memory is needed by several of them, as far as the environment tells."""
    states, accounts = await UseStore(
        lambda stores: (isinstance(stores.states, MemoryStates), isinstance(stores.accounts, MemoryAccounts))
    )
    if not states and not accounts:
        return passed("they share the store")
    what = "the store" if accounts else "the store of the attempts to sign in"
    remedy = 'give them one that they share, such as store="sqlite:///configure.db"'
    number = workers_of(subject.environment)
    if number > 1:
        return failed(f"{what} is memory:// and there are {number} workers: each knows a part of the sign-ins", remedy)
    if not subject.settings.is_local:
        return failed(f"{what} is memory://: a restart, or a second worker, knows nothing of it", remedy)
    return passed(f"{what} is memory://, which does for one process in development")


def workers_of(environment: Mapping[str, str]) -> int:
    """The most workers that a server is told of; 1 where none is."""
    told = [environment.get("WEB_CONCURRENCY", ""), environment.get("UVICORN_WORKERS", "")]
    told += _options(environment.get("GUNICORN_CMD_ARGS", ""))
    return max((int(one) for one in told if one.isascii() and one.isdecimal() and len(one) < 6), default=1)


def _options(arguments: str) -> Iterator[str]:
    try:
        words = shlex.split(arguments)
    except ValueError:
        return
    for word, following in zip_longest(words, words[1:], fillvalue=""):
        if word in ("-w", "--workers"):
            yield following
        elif word.startswith("--workers="):
            yield word.removeprefix("--workers=")
        elif word.startswith("-w") and not word.startswith("--"):
            yield word.removeprefix("-w").removeprefix("=")


async def user_ids(subject: Subject, application: Application) -> Finding:
    """Whether the app's database gives the id of a deleted user to the next one, who would get the connection too."""
    if not application.tables:
        if application.users == "named":
            return failed("what --users names is no mapped class and no Table", "name one, as module:User")
        if application.users == "found":
            return skipped("no table of this app looks like its users'; name it with --users module:User")
        return skipped("the app's tables can't be seen; name the users' with --users module:User")
    judged = [table for table in application.tables if table.reuses_ids and table.dialect in (None, "sqlite")]
    if not judged:
        return passed(f"{_named(application.tables)}: no id comes twice")
    where = "" if all(table.dialect for table in judged) else ", if the database is SQLite"
    remedy = (
        'put __table_args__ = {"sqlite_autoincrement": True} into the class and migrate the table, and call '
        "forget_user(id) where the app deletes a user"
    )
    doubt = ""
    if len(application.tables) > 1:
        doubt = " (several look like the users'; name the right one with --users module:User)"
    return warned(
        f"{_named(judged)}: the id of the last user comes again once that one is deleted{where}{doubt}", remedy
    )


def _named(tables: tuple[Table, ...] | list[Table]) -> str:
    return ", ".join(table.name for table in tables)
