"""The stores in SQL. Each method is one operation of `databases`: blocking or awaited, as its database is."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import partial, wraps
from types import FunctionType
from typing import Any, cast

from .. import stores as protocols
from ..values import ClaimedAgent, Journey, PendingSignIn
from . import OUTCOME_TTL, REPLAY, Completed, Ended, Saved, StoredAccount, StoredSubject, Stores
from . import statements as sql
from .databases import Access, Database
from .schema import Run

Rows = list[tuple[Any, ...]]

SWEEP = 20  # how many ended records a new one takes with it, so that the table stays small without a job
SWEEP_PAUSE = 1.0  # seconds until the next sweep after one that found nothing more to do
PURGE = 100  # how many go in one step of a purge, so that others don't wait long


def _operation(kind: Access) -> Callable[[Callable[..., Coroutine[Any, Any, Any]]], Any]:
    """Make a coroutine method of `run` a method of the store. On an asynchronous database it is awaited."""

    def decorate(method: Callable[..., Coroutine[Any, Any, Any]]) -> Any:
        @wraps(method)
        def perform(self: Any, /, *args: Any, **kwargs: Any) -> Any:
            return self.database.perform(lambda run: method(self, run, *args, **kwargs), kind)

        return perform

    return decorate


_reads, _writes, _erases = _operation("read"), _operation("write"), _operation("erase")


def _statement(kind: Access, method: Callable[..., Any], statement: str, result: Callable[[Rows], Any]) -> Any:
    """Make the method of a Protocol that is one statement, whose parameters are the method's."""
    code = cast(FunctionType, method).__code__
    names = code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount]

    async def only(_self: Any, run: Run, /, *args: Any, **kwargs: Any) -> Any:
        return result(await run(statement, **dict(zip(names, args, strict=False)), **kwargs))

    return _operation(kind)(only)


def _nothing(_rows: Rows) -> None: ...


def _row(rows: Rows) -> tuple[Any, ...] | None:
    return rows[0] if rows else None


def _value(rows: Rows) -> str | None:
    return rows[0][0] if rows else None


def _values(record: Any) -> dict[str, Any]:
    values = {name: getattr(record, name) for name in record.__dataclass_fields__}
    return values if "scopes" not in values else values | {"scopes": " ".join(record.scopes)}


# SQLite gives 0 and 1 where PostgreSQL gives False and True.
_READ_AS: dict[str, Callable[[Any], object]] = dict.fromkeys(("replace", "needs_reconnect", "proven"), bool)
_READ_AS["scopes"] = lambda text: tuple(text.split())


def _records(kind: Any, rows: Rows) -> tuple[Any, ...]:
    named = (dict(zip(kind.__dataclass_fields__, row, strict=True)) for row in rows)
    return tuple(
        kind(**row | {name: read(row[name]) for name, read in _READ_AS.items() if name in row}) for row in named
    )


def _first(kind: Any, rows: Rows) -> Any:
    return next(iter(_records(kind, rows)), None)


class _SqlStore:
    """A store in one database."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.in_memory = database.in_memory
        self._swept_at, self._sweep_due = 0.0, 0.0

    async def _sweep(self, run: Run, now: float, *sweeps: tuple[str, float]) -> None:
        """Run each statement for some of what is over, if anything can be."""
        if self._swept_at <= now < self._sweep_due:
            return
        full = False
        for statement, until in sweeps:
            full |= len(await run(statement, until=until, limit=SWEEP)) == SWEEP
        self._swept_at, self._sweep_due = now, now if full else now + SWEEP_PAUSE


class _SqlStates(_SqlStore):
    @_writes
    async def put(self, run: Run, record: PendingSignIn, *, limit: int, now: float) -> None:
        await self._tidy(run, now)
        await run(sql.DROP_SURPLUS_ATTEMPTS, browser_hash=record.browser_hash, agent=record.agent, kept=limit - 1)
        await run(sql.PUT_ATTEMPT, **_values(record))

    claim = _statement("write", protocols.StateStore.claim, sql.CLAIM_ATTEMPT, partial(_first, PendingSignIn))
    read = _statement("read", protocols.StateStore.read, sql.READ_ATTEMPT, partial(_first, PendingSignIn))
    forget = _statement("erase", protocols.StateStore.forget, sql.FORGET_ATTEMPTS, _nothing)
    of_user = _statement("read", protocols.StateStore.of_user, sql.ATTEMPTS_OF_USER, partial(_records, PendingSignIn))
    forget_replays = _statement("write", protocols.StateStore.forget_replays, sql.FORGET_REPLAYS, _nothing)

    @_writes
    async def finish(self, run: Run, /, state_hash: str, *, replay: str | None, now: float, **given: Any) -> None:
        await self._tidy(run, now)
        await _finish(run, state_hash=state_hash, replay=replay, now=now, **given)

    @_writes
    async def purge(self, run: Run, *, now: float) -> int:
        # All replays at once, because only what is deleted counts as a step; there are few.
        await run(sql.WIPE_REPLAYS, until=now, limit=1_000_000)
        return len(await run(sql.SWEEP_ATTEMPTS, until=now - OUTCOME_TTL, limit=PURGE))

    async def _tidy(self, run: Run, now: float) -> None:
        await self._sweep(run, now, (sql.WIPE_REPLAYS, now), (sql.SWEEP_ATTEMPTS, now - OUTCOME_TTL))


class _SqlAccounts(_SqlStore):
    async def _version(self, run: Run, agent: str, user_id: str) -> int:
        rows = await run(sql.KEEP_VERSION, agent=agent, user_id=user_id, version=secrets.randbits(62))
        return cast(int, rows[0][0])

    version = _writes(_version)
    owner = _statement("read", protocols.AccountStore.owner, sql.OWNER_AND_VERSION, _row)
    find = _statement("read", protocols.AccountStore.find, sql.FIND_ACCOUNTS, partial(_records, StoredAccount))

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
        forgotten: tuple[str, float] | None = None,
    ) -> Saved:
        """`forgotten`: "stale" if the lease of this name ends later than this time."""
        agent, user_id, identity = account.agent, account.user_id, account.configure_user_id
        this = {"agent": agent, "configure_user_id": identity}
        # Locked until the commit: an unlink, or a second save for this user, waits or comes first.
        if version is None:
            # Inserted first: who forgets the user takes the lease, and then waits for this row.
            await self._version(run, agent, user_id)
            if forgotten is not None and await run(sql.LEASED_BEYOND, name=forgotten[0], until=forgotten[1]):
                await run(sql.FORGET_VERSION, agent=agent, user_id=user_id)
                return Saved("stale")
        elif await run(sql.LOCK_VERSION, agent=agent, user_id=user_id) != [(version,)]:
            return Saved("stale")
        found = await run(sql.CONNECTIONS, **this, user_id=user_id)
        owner = next((local for local, _ in found if local is not None), None)
        is_connected = any(connected not in (None, identity) for _, connected in found)
        if owner not in (None, user_id, move_from):
            return Saved("taken", owner=owner)
        if is_connected and not replace:
            return Saved("connected")
        unlinked: tuple[StoredAccount, ...] = ()
        if owner != user_id:
            if owner is not None:
                unlinked = await _unlinked(run, sql.DELETE_ACCOUNTS_OF_IDENTITY, **this, user_id=owner)
            await run(sql.TAKE_OWNERSHIP, **this, user_id=user_id)
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
        await self._version(run, agent, user_id)  # waits for a save that makes it
        gone = await _deleted(run, sql.DELETE_ACCOUNTS, agent=agent, user_id=user_id)
        await run(sql.FORGET_VERSION, agent=agent, user_id=user_id)
        return gone


class _SqlLeases(_SqlStore):
    @_writes
    async def acquire(self, run: Run, name: str, *, owner: str, until: float, now: float) -> bool:
        if until > now:  # one that is over at once is only taken to be released, whatever `now` is
            await self._sweep(run, now, (sql.SWEEP_LEASES, now))
        return bool(await run(sql.ACQUIRE_LEASE, name=name, owner=owner, until=until, now=now))

    release = _statement("write", protocols.Leases.release, sql.RELEASE_LEASE, _nothing)


class _SqlJourneys(_SqlStore):
    @_writes
    async def put(self, run: Run, journey: Journey, *, limit: int, now: float) -> None:
        await self._sweep(run, now, (sql.SWEEP_JOURNEYS, now))
        await run(sql.DROP_SURPLUS_JOURNEYS, agent=journey.agent, subject=journey.subject, kept=limit - 1)
        await run(sql.PUT_JOURNEY, **_values(journey))

    read = _statement("read", protocols.JourneyStore.read, sql.READ_JOURNEY, partial(_first, Journey))
    attempt = _statement("write", protocols.JourneyStore.attempt, sql.COUNT_TRY, bool)
    find = _statement("read", protocols.JourneyStore.find, sql.FIND_LINK, partial(_first, StoredSubject))
    remove = _statement("write", protocols.JourneyStore.remove, sql.REMOVE_LINK, bool)
    page = _statement("read", protocols.JourneyStore.page, sql.PAGE_OF_LINKS, partial(_records, StoredSubject))

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

    @_writes
    async def save(self, run: Run, link: StoredSubject, *, serial: str | None) -> bool:
        if serial is None:
            return bool(await run(sql.ADD_LINK, **_values(link)))
        return bool(await run(sql.UPDATE_LINK, **_values(link), old_serial=serial))

    async def _forget(self, run: Run, agent: str, subject: str) -> StoredSubject | None:
        # The journeys first: a completion on its way holds the one that it uses, and its link is here when it's done.
        await run(sql.FORGET_JOURNEYS, agent=agent, subject=subject)
        gone: StoredSubject | None = _first(StoredSubject, await run(sql.FORGET_LINK, agent=agent, subject=subject))
        return gone

    forget = _erases(_forget)

    @_writes
    async def unlink(self, run: Run, opt_out: StoredSubject) -> StoredSubject | None:
        gone = await self._forget(run, opt_out.agent, opt_out.subject)
        await run(sql.REPLACE_LINK, **_values(opt_out))
        return gone

    @_writes
    async def purge(self, run: Run, *, now: float) -> int:
        return len(await run(sql.SWEEP_JOURNEYS, until=now, limit=PURGE))


class _SqlAgents(_SqlStore):
    register = _statement("write", protocols.AgentStore.register, sql.REGISTER_AGENT, bool)
    owner = _statement("read", protocols.AgentStore.owner, sql.OWNER_OF_AGENT, _value)
    # In Python's order: a database has its own idea of the alphabet.
    owned_by = _statement(
        "read",
        protocols.AgentStore.owned_by,
        sql.AGENTS_OF_OWNER,
        lambda rows: tuple(sorted(agent_id for (agent_id,) in rows)),
    )
    forget = _statement("erase", protocols.AgentStore.forget, sql.FORGET_AGENTS, _nothing)

    @_writes
    async def claim(self, run: Run, claim_hash: str, user_id: str, *, app: str, now: float) -> ClaimedAgent | None:
        this = {"app": app, "claim_hash": claim_hash, "now": now}
        claimed = await run(sql.CLAIM_AGENT, **this, user_id=user_id)
        rows = claimed or await run(sql.CLAIMED_AGENT, **this)
        return ClaimedAgent(agent_id=rows[0][0], owner_user_id=rows[0][1], is_new=bool(claimed)) if rows else None


class _SqlParameters(_SqlStore):
    read = _statement("read", protocols.ParameterStore.read, sql.READ_PARAMETER, _value)
    keep = _statement("write", protocols.ParameterStore.keep, sql.KEEP_PARAMETER, _value)
    replace = _statement("write", protocols.ParameterStore.replace, sql.REPLACE_PARAMETER, bool)
    remove = _statement("erase", protocols.ParameterStore.remove, sql.REMOVE_PARAMETER, _nothing)


def sql_stores(database: Database) -> Stores:
    """Return the stores in one database. On an asynchronous one each method, and `close`, is awaited."""
    kinds: tuple[Any, ...] = (_SqlStates, _SqlAccounts, _SqlLeases, _SqlJourneys, _SqlAgents, _SqlParameters)
    stores: list[Any] = [kind(database) for kind in kinds]
    return replace(Stores(*stores), close=database.close, path=database.path)


async def _finish(run: Run, *, replay: str | None, now: float, **given: Any) -> None:
    until = None if replay is None else now + REPLAY
    await run(sql.FINISH_ATTEMPT, replay=replay, replay_until=until, now=now, **given)


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
