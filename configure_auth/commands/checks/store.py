"""The store, the workers that share it, and the user ids that its records refer to."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from itertools import zip_longest

from ...flows.effects import UseStore
from ...flows.site import MAY_VANISH, NAME_A_STORE
from ...stores.databases import is_readable_by_others
from .application import Application, Table
from .check import app_check
from .deployment import Deployment
from .findings import Finding, failed, passed, skipped, warned

_ABSENT = "0" * 64
"""A well-formed hash that no record has."""


@app_check("the store", needs=("app",), after=())
async def store(deployment: Deployment, application: Application) -> Finding:
    """Read an absent record from each part of the store that a sign-in needs.

    As with the app's first use, this creates the tables of an SQLite file and stores the fingerprints of the keys.
    """
    site = deployment.site
    now = site.clock()
    await UseStore(
        lambda stores: stores.states.read(_ABSENT, browser_hash=_ABSENT, intent="link", agent=site.agent, now=now)
    )
    await UseStore(lambda stores: stores.accounts.owner(site.agent, _ABSENT))
    await UseStore(lambda stores: stores.parameters.read(_ABSENT))
    path, by_default = await UseStore(lambda stores: (stores.path, stores.by_default))
    if by_default and not deployment.settings.is_local:
        return warned(f"it is {path}, because none was named; {MAY_VANISH}", NAME_A_STORE)
    if path is not None and is_readable_by_others(path):
        return warned(f"{path.name} is readable by other users of this machine", "chmod 600 it and its -wal and -shm")
    return passed("it works, with the tables and keys of this version")


@app_check("the workers")
async def workers(deployment: Deployment, application: Application) -> Finding:
    """Whether a store in memory is used by several processes, as far as the environment tells."""
    states, accounts = await UseStore(
        lambda stores: (getattr(stores.states, "in_memory", False), getattr(stores.accounts, "in_memory", False))
    )
    if not states and not accounts:
        return passed("they share the store")
    what = "the store" if accounts else "the store of sign-in attempts"
    remedy = 'use a store that they share, such as store="sqlite:///configure.db"'
    number = workers_of(deployment.environment)
    if number > 1:
        return failed(f"{what} is memory:// and there are {number} workers: each has a part of the records", remedy)
    if not deployment.settings.is_local:
        return failed(f"{what} is memory://: a restart or a second worker loses it", remedy)
    return passed(f"{what} is memory://, which suits one process in development")


def workers_of(environment: Mapping[str, str]) -> int:
    """Return the largest number of workers in variables that servers read; 1 if there is none."""
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


@app_check("the user ids")
async def user_ids(deployment: Deployment, application: Application) -> Finding:
    """Whether the app's database assigns a deleted user's id to the next user, who would inherit the connection."""
    if not application.tables:
        if application.users == "named":
            return failed("--users names neither a mapped class nor a Table", "name one, as module:User")
        if application.users == "found":
            return skipped("found no table of users in this app; name it with --users module:User")
        return skipped("the app's tables are unknown; name the users' with --users module:User")
    reusing = [table for table in application.tables if table.reuses_ids and table.dialect in (None, "sqlite")]
    if not reusing:
        return passed(f"{_named(application.tables)}: ids are never reused")
    where = "" if all(table.dialect for table in reusing) else ", if the database is SQLite"
    remedy = (
        'add __table_args__ = {"sqlite_autoincrement": True} to the class and migrate the table, and call '
        "forget_user(id) where the app deletes a user"
    )
    doubt = ""
    if len(application.tables) > 1:
        doubt = " (several tables may be the users'; name it with --users module:User)"
    return warned(f"{_named(reusing)}: the id of a deleted user is reused{where}{doubt}", remedy)


def _named(tables: tuple[Table, ...] | list[Table]) -> str:
    return ", ".join(table.name for table in tables)
