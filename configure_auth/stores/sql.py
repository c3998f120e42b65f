"""The stores in SQL. Each method is one operation of `databases`: blocking or awaited, as its database is."""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Callable, Coroutine
from dataclasses import fields
from functools import cache, wraps
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from ..values import ClaimedAgent, Journey, PendingSignIn
from . import OUTCOME_TTL, REPLAY, Completed, Ended, Saved, StoredAccount, StoredSubject, Stores
from . import statements as sql
from .databases import Database, Kind, RepeatTransaction
from .schema import Run

__all__ = ["SEVERAL_PROCESSES", "sql_stores"]

log: logging.Logger = logging.getLogger("configure_auth")

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")
Rows = list[tuple[Any, ...]]
Method = Callable[Concatenate[Any, Run, P], Coroutine[Any, Any, T]]

SWEEP = 20
"""How many ended records a new one takes with it, so that the table stays small without a job."""

SWEEP_PAUSE = 1.0
"""Seconds until the next sweep after one that found nothing more to do."""

PURGE = 1000
"""How many go in one step of a purge, so that others don't wait long."""

SEVERAL_PROCESSES = (
    "store=memory:// in more than one process: a sign-in that starts in one of them is unknown to the others; it is "
    'for development. Give the workers a store that they share, such as store="sqlite:///configure.db"'
)


def _operation(kind: Kind) -> Callable[[Method[P, T]], Callable[Concatenate[Any, P], T]]:
    """Make a coroutine method of `run` a method of the store. On an asynchronous database it is awaited."""

    def decorate(method: Method[P, T]) -> Callable[Concatenate[Any, P], T]:
        @wraps(method)
        def perform(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> T:
            return cast(T, self.database.perform(lambda run: method(self, run, *args, **kwargs), kind))

        return perform

    return decorate


_reads, _writes, _erases = _operation("read"), _operation("write"), _operation("erase")


class _SqlStore:
    """A store in one database. `in_memory`: another process knows nothing of it."""

    def __init__(self, database: Database, *, in_memory: bool) -> None:
        self.database = database
        self.in_memory = in_memory
        self._process = os.getpid()
        self._swept_at, self._sweep_due = 0.0, 0.0

    async def _sweep(self, run: Run, now: float, *sweeps: tuple[str, float]) -> None:
        """Run each statement for some of what is over, if anything can be."""
        if self._swept_at <= now < self._sweep_due:
            return
        full = False
        for statement, until in sweeps:
            full |= len(await run(statement, until=until, limit=SWEEP)) == SWEEP
        self._swept_at, self._sweep_due = now, now if full else now + SWEEP_PAUSE


class SqlStates(_SqlStore):
    @_writes
    async def put(self, run: Run, record: PendingSignIn, *, limit: int, now: float) -> None:
        if self.in_memory and self._process != os.getpid():
            self._process = os.getpid()
            log.error("%s", SEVERAL_PROCESSES)
        await self._tidy(run, now)
        await run(sql.DROP_SURPLUS_ATTEMPTS, browser_hash=record.browser_hash, agent=record.agent, kept=limit - 1)
        await run(sql.PUT_ATTEMPT, **_values(record))

    @_writes
    async def claim(self, run: Run, /, state_hash: str, **given: Any) -> PendingSignIn | None:
        return _first(PendingSignIn, await run(sql.CLAIM_ATTEMPT, state_hash=state_hash, **given))

    @_reads
    async def read(self, run: Run, /, state_hash: str, *, now: float, **given: Any) -> PendingSignIn | None:
        rows = await run(sql.READ_ATTEMPT, state_hash=state_hash, ended=now - OUTCOME_TTL, **given)
        return _first(PendingSignIn, rows)

    @_writes
    async def finish(self, run: Run, /, state_hash: str, *, replay: str | None, now: float, **given: Any) -> None:
        await self._tidy(run, now)
        await _finish(run, state_hash=state_hash, replay=replay, now=now, **given)
        if replay is not None:
            self._sweep_due = min(self._sweep_due, now + REPLAY)

    @_erases
    async def forget(self, run: Run, agent: str, user_id: str) -> None:
        await run(sql.FORGET_ATTEMPTS, agent=agent, user_id=user_id)

    @_writes
    async def forget_replays(self, run: Run, agent: str, browser_hash: str) -> None:
        await run(sql.FORGET_REPLAYS, agent=agent, browser_hash=browser_hash)

    @_writes
    async def purge(self, run: Run, *, now: float) -> int:
        # All replays at once, because only what is deleted counts as a step; there are few.
        await run(sql.WIPE_REPLAYS, until=now, limit=1_000_000)
        return len(await run(sql.SWEEP_ATTEMPTS, until=now - OUTCOME_TTL, limit=PURGE))

    async def _tidy(self, run: Run, now: float) -> None:
        await self._sweep(run, now, (sql.WIPE_REPLAYS, now), (sql.SWEEP_ATTEMPTS, now - OUTCOME_TTL))


class SqlAccounts(_SqlStore):
    @_writes
    async def version(self, run: Run, agent: str, user_id: str) -> int:
        return await _kept_version(run, agent, user_id)

    @_reads
    async def owner(self, run: Run, agent: str, configure_user_id: str) -> tuple[str, int] | None:
        rows = await run(sql.OWNER_AND_VERSION, agent=agent, configure_user_id=configure_user_id)
        return cast("tuple[str, int]", rows[0]) if rows else None

    @_reads
    async def find(self, run: Run, agent: str, user_id: str) -> tuple[StoredAccount, ...]:
        return _records(StoredAccount, await run(sql.FIND_ACCOUNTS, agent=agent, user_id=user_id))

    @_reads
    async def page(
        self, run: Run, agent: str, *, after: tuple[str, str] | None, limit: int
    ) -> tuple[StoredAccount, ...]:
        user_id, kind = after or ("", "")
        rows = await run(sql.PAGE_OF_ACCOUNTS, agent=agent, user_id=user_id, kind=kind, limit=limit)
        return _records(StoredAccount, rows)

    @_writes
    async def save(
        self,
        run: Run,
        account: StoredAccount,
        *,
        version: int | None,
        replace: bool = False,
        move_from: str | None = None,
        ended: Ended | None = None,
    ) -> Saved:
        agent, user_id, identity = account.agent, account.user_id, account.configure_user_id
        this = {"agent": agent, "configure_user_id": identity}
        # Locked until the commit: an unlink, or a second save for this user, waits or comes first.
        if version is None:
            await _kept_version(run, agent, user_id)
        elif await run(sql.LOCK_VERSION, agent=agent, user_id=user_id) != [(version,)]:
            return Saved("stale")
        found = _records(StoredAccount, await run(sql.FIND_ACCOUNTS, agent=agent, user_id=user_id))
        present = {one.configure_user_id for one in found}
        is_connected = bool(present - {identity})
        if identity in present:
            owner: str | None = user_id
        elif is_connected and not replace:
            owner = _value(await run(sql.OWNER, **this))
        else:
            owner = _value(await run(sql.TAKE_OWNERSHIP, **this, user_id=user_id) or await run(sql.OWNER, **this))
        if owner not in (None, user_id, move_from):
            return Saved("taken", owner=owner)
        if is_connected and not replace:
            return Saved("connected")
        unlinked: tuple[StoredAccount, ...] = ()
        if owner != user_id:
            if owner is not None:
                unlinked = await _unlinked(run, sql.DELETE_ACCOUNTS_OF_IDENTITY, **this, user_id=owner)
            if not await run(sql.TAKE_OWNERSHIP, **this, user_id=user_id):
                raise RepeatTransaction  # a third user took it meanwhile
        if is_connected:
            unlinked += await _deleted(run, sql.DELETE_OTHER_ACCOUNTS, **this, user_id=user_id)
        await run(sql.SAVE_ACCOUNT, **_values(account) | {"serial": secrets.token_hex(8)})
        if ended is not None:
            await _finish(run, **_values(ended))
        return Saved("saved", unlinked=unlinked, is_finished=ended is not None)

    @_writes
    async def update(self, run: Run, account: StoredAccount, *, serial: str) -> bool:
        return bool(await run(sql.UPDATE_ACCOUNT, **_values(account), old_serial=serial))

    @_writes
    async def unlink(self, run: Run, agent: str, user_id: str) -> tuple[StoredAccount, ...]:
        return await _unlinked(run, sql.DELETE_ACCOUNTS, agent=agent, user_id=user_id)

    @_erases
    async def forget(self, run: Run, agent: str, user_id: str) -> tuple[StoredAccount, ...]:
        gone = await _unlinked(run, sql.DELETE_ACCOUNTS, agent=agent, user_id=user_id)
        await run(sql.FORGET_VERSION, agent=agent, user_id=user_id)
        return gone


class SqlLeases(_SqlStore):
    @_writes
    async def acquire(self, run: Run, name: str, *, owner: str, until: float, now: float) -> bool:
        if until > now:  # one that is over at once is only taken to be released, whatever `now` is
            await self._sweep(run, now, (sql.SWEEP_LEASES, now))
        return bool(await run(sql.ACQUIRE_LEASE, name=name, owner=owner, until=until, now=now))

    @_writes
    async def release(self, run: Run, name: str, *, owner: str) -> None:
        await run(sql.RELEASE_LEASE, name=name, owner=owner)


class SqlJourneys(_SqlStore):
    @_writes
    async def put(self, run: Run, journey: Journey, *, limit: int, now: float) -> None:
        await self._sweep(run, now, (sql.SWEEP_JOURNEYS, now))
        await run(sql.DROP_SURPLUS_JOURNEYS, agent=journey.agent, subject=journey.subject, kept=limit - 1)
        await run(sql.PUT_JOURNEY, **_values(journey))

    @_reads
    async def read(self, run: Run, journey_hash: str, *, agent: str, now: float) -> Journey | None:
        return _first(Journey, await run(sql.READ_JOURNEY, journey_hash=journey_hash, agent=agent, now=now))

    @_writes
    async def attempt(self, run: Run, /, journey_hash: str, **given: Any) -> bool:
        return bool(await run(sql.COUNT_TRY, journey_hash=journey_hash, **given))

    @_writes
    async def complete(
        self, run: Run, journey_hash: str, *, link: StoredSubject, token_hash: str, now: float
    ) -> Completed:
        this = {"journey_hash": journey_hash, "agent": link.agent, "subject": link.subject}
        rows = await run(sql.LOCK_JOURNEY, **this, now=now)
        if not rows:
            return "over"
        used_by = _value(rows)
        if used_by is not None:
            return "repeated" if used_by == token_hash else "over"
        if not await run(sql.RENEW_LINK, **_values(link)):
            return "taken"
        await run(sql.COMPLETE_JOURNEY, journey_hash=journey_hash, token_hash=token_hash)
        return "linked"

    @_reads
    async def find(self, run: Run, agent: str, subject: str) -> StoredSubject | None:
        return _first(StoredSubject, await run(sql.FIND_LINK, agent=agent, subject=subject))

    @_writes
    async def save(self, run: Run, link: StoredSubject, *, serial: str | None) -> bool:
        if serial is None:
            return bool(await run(sql.ADD_LINK, **_values(link)))
        return bool(await run(sql.UPDATE_LINK, **_values(link), old_serial=serial))

    @_writes
    async def remove(self, run: Run, agent: str, subject: str, *, serial: str) -> bool:
        return bool(await run(sql.REMOVE_LINK, agent=agent, subject=subject, serial=serial))

    @_writes
    async def unlink(self, run: Run, opt_out: StoredSubject) -> StoredSubject | None:
        gone = await _forgotten(run, opt_out.agent, opt_out.subject)
        await run(sql.REPLACE_LINK, **_values(opt_out))
        return gone

    @_erases
    async def forget(self, run: Run, agent: str, subject: str) -> StoredSubject | None:
        return await _forgotten(run, agent, subject)

    @_reads
    async def page(self, run: Run, agent: str, *, after: str | None, limit: int) -> tuple[StoredSubject, ...]:
        return _records(StoredSubject, await run(sql.PAGE_OF_LINKS, agent=agent, subject=after or "", limit=limit))

    @_writes
    async def purge(self, run: Run, *, now: float) -> int:
        return len(await run(sql.SWEEP_JOURNEYS, until=now, limit=PURGE))


class SqlAgents(_SqlStore):
    @_writes
    async def register(self, run: Run, agent_id: str, claim_hash: str, *, app: str, until: float, now: float) -> bool:
        claim = {"claim_hash": claim_hash, "claim_until": until}
        return bool(await run(sql.REGISTER_AGENT, app=app, agent_id=agent_id, **claim))

    @_writes
    async def claim(self, run: Run, claim_hash: str, user_id: str, *, app: str, now: float) -> ClaimedAgent | None:
        this = {"app": app, "claim_hash": claim_hash, "now": now}
        claimed = await run(sql.CLAIM_AGENT, **this, user_id=user_id)
        rows = claimed or await run(sql.CLAIMED_AGENT, **this)
        return ClaimedAgent(agent_id=rows[0][0], owner_user_id=rows[0][1], is_new=bool(claimed)) if rows else None

    @_reads
    async def owner(self, run: Run, agent_id: str, *, app: str) -> str | None:
        return _value(await run(sql.OWNER_OF_AGENT, app=app, agent_id=agent_id))

    @_reads
    async def owned_by(self, run: Run, user_id: str, *, app: str) -> tuple[str, ...]:
        # In Python's order: a database has its own idea of the alphabet.
        return tuple(sorted(agent_id for (agent_id,) in await run(sql.AGENTS_OF_OWNER, app=app, user_id=user_id)))

    @_erases
    async def forget(self, run: Run, app: str, user_id: str) -> None:
        await run(sql.FORGET_AGENTS, app=app, user_id=user_id)


class SqlParameters(_SqlStore):
    @_reads
    async def read(self, run: Run, name: str) -> str | None:
        return _value(await run(sql.READ_PARAMETER, name=name))

    @_writes
    async def keep(self, run: Run, name: str, value: str) -> str:
        return cast(str, _value(await run(sql.KEEP_PARAMETER, name=name, value=value)))

    @_writes
    async def replace(self, run: Run, name: str, *, old: str, new: str) -> bool:
        return bool(await run(sql.REPLACE_PARAMETER, name=name, old=old, new=new))

    @_erases
    async def remove(self, run: Run, name: str) -> None:
        await run(sql.REMOVE_PARAMETER, name=name)


def sql_stores(database: Database, *, in_memory: bool = False) -> Stores:
    """Return the stores in one database. On an asynchronous one each method, and `close`, is awaited."""
    kinds: tuple[Any, ...] = (SqlStates, SqlAccounts, SqlLeases, SqlJourneys, SqlAgents, SqlParameters)
    stores: list[Any] = [kind(database, in_memory=in_memory) for kind in kinds]
    return Stores(*[*stores, database.close])


async def _finish(run: Run, *, replay: str | None, now: float, **given: Any) -> None:
    until = None if replay is None else now + REPLAY
    await run(sql.FINISH_ATTEMPT, replay=replay, replay_until=until, now=now, **given)


async def _kept_version(run: Run, agent: str, user_id: str) -> int:
    rows = await run(sql.KEEP_VERSION, agent=agent, user_id=user_id, version=secrets.randbits(62))
    return cast(int, rows[0][0])


async def _unlinked(run: Run, deletion: str, *, agent: str, user_id: str, **given: str) -> tuple[StoredAccount, ...]:
    """Delete a user's accounts and raise the version."""
    # The version first: it's the row that a save in flight holds or waits for.
    await run(sql.RAISE_VERSION, agent=agent, user_id=user_id, version=secrets.randbits(62))
    return await _deleted(run, deletion, agent=agent, user_id=user_id, **given)


async def _deleted(run: Run, deletion: str, **given: str) -> tuple[StoredAccount, ...]:
    """Delete accounts, with the ownership of their Configure users."""
    gone = sorted(_records(StoredAccount, await run(deletion, **given)), key=lambda account: account.kind)
    for agent, user_id, identity in {(one.agent, one.user_id, one.configure_user_id) for one in gone}:
        await run(sql.DROP_OWNERSHIP, agent=agent, user_id=user_id, configure_user_id=identity)
    return tuple(gone)


async def _forgotten(run: Run, agent: str, subject: str) -> StoredSubject | None:
    # The journeys first: a completion on its way holds the one that it uses, and its link is here when it's done.
    await run(sql.FORGET_JOURNEYS, agent=agent, subject=subject)
    return _first(StoredSubject, await run(sql.FORGET_LINK, agent=agent, subject=subject))


def _value(rows: Rows) -> str | None:
    return rows[0][0] if rows else None


@cache
def _names(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


def _values(record: Any) -> dict[str, Any]:
    values = {name: getattr(record, name) for name in _names(cast(Any, type(record)))}
    return values if "scopes" not in values else values | {"scopes": " ".join(record.scopes)}


# SQLite gives 0 and 1 where PostgreSQL gives False and True.
_READ_AS: dict[str, Callable[[Any], object]] = {
    "replace": bool,
    "needs_reconnect": bool,
    "proven": bool,
    "scopes": lambda text: tuple(text.split()),
}


def _records(kind: type[R], rows: Rows) -> tuple[R, ...]:
    named = (zip(_names(cast(Any, kind)), row, strict=True) for row in rows)
    return tuple(kind(**{name: _READ_AS.get(name, _same)(value) for name, value in row}) for row in named)


def _same(value: object) -> object:
    return value


def _first(kind: type[R], rows: Rows) -> R | None:
    return next(iter(_records(kind, rows)), None)
