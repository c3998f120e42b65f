"""The stores in SQL: each method is one transaction; `transaction` hands it a connection, blocking or awaited."""

from __future__ import annotations

import secrets
from dataclasses import asdict, fields, replace
from typing import Any

from sqlalchemy import Connection, Row, and_, delete, func, insert, select, tuple_, update

from ..values import Intent, PendingSignIn
from . import LINGER, REPLAY, Saved, StoredAccount, Stores
from .database import AnyDatabase
from .schema import accounts, leases, owners, parameters, states, users
from .sql_agents import SqlAgents
from .sql_journeys import SqlJourneys
from .statements import PURGE, SWEEP, SqlStore, reading, transaction

__all__ = ["sql_stores"]


class SqlStates(SqlStore):
    @transaction
    def put(self, connection: Connection, record: PendingSignIn, *, limit: int, now: float) -> None:
        _play_out(connection, now, SWEEP)
        _sweep(connection, now, SWEEP)
        mine = and_(
            states.c.browser_hash == record.browser_hash,
            states.c.agent == record.agent,
            states.c.claimed_at.is_(None),
        )
        newest_first = select(states.c.state_hash).where(mine).order_by(states.c.created_at.desc())
        surplus = connection.execute(newest_first.offset(limit - 1)).scalars().all()
        if surplus:
            # One that was claimed meanwhile keeps its end.
            connection.execute(delete(states).where(states.c.state_hash.in_(surplus), states.c.claimed_at.is_(None)))
        connection.execute(insert(states).values(**asdict(record)))

    @transaction
    def claim(
        self,
        connection: Connection,
        state_hash: str,
        *,
        browser_hash: str,
        intent: Intent,
        agent: str,
        now: float,
    ) -> PendingSignIn | None:
        mine = _mine(state_hash, browser_hash, intent, agent)
        taken = connection.execute(
            update(states).where(mine, states.c.claimed_at.is_(None), states.c.expires_at > now).values(claimed_at=now)
        )
        if taken.rowcount != 1:
            return None
        return _record(connection.execute(select(states).where(mine)).one())

    @reading
    def read(
        self, connection: Connection, state_hash: str, *, browser_hash: str, intent: Intent, agent: str, now: float
    ) -> PendingSignIn | None:
        known = and_(_mine(state_hash, browser_hash, intent, agent), states.c.expires_at > now - LINGER)
        row = connection.execute(select(states).where(known)).one_or_none()
        return None if row is None else _record(row)

    @transaction
    def finish(
        self,
        connection: Connection,
        state_hash: str,
        *,
        outcome: str,
        replay: str | None,
        user_id: str | None,
        now: float,
    ) -> None:
        _play_out(connection, now, SWEEP)
        connection.execute(
            update(states)
            .where(states.c.state_hash == state_hash, states.c.claimed_at.is_not(None))
            .values(
                outcome=outcome,
                finished_at=now,
                replay=replay,
                replay_until=None if replay is None else now + REPLAY,
                user_id=func.coalesce(user_id, states.c.user_id),
            )
        )

    @transaction
    def forget(self, connection: Connection, agent: str, user_id: str) -> None:
        connection.execute(delete(states).where(states.c.agent == agent, states.c.user_id == user_id))

    @transaction
    def purge(self, connection: Connection, *, now: float) -> int:
        # All of them, for only what is deleted counts as a step; whoever signs in wipes more of them than they leave.
        _play_out(connection, now, None)
        return _sweep(connection, now, PURGE)


class SqlAccounts(SqlStore):
    @transaction
    def version(self, connection: Connection, agent: str, user_id: str) -> int:
        return _version(connection, agent, user_id)

    @reading
    def owner(self, connection: Connection, agent: str, configure_user_id: str) -> tuple[str, int] | None:
        found = connection.execute(
            select(owners.c.user_id, users.c.version)
            .join(users, and_(users.c.agent == owners.c.agent, users.c.user_id == owners.c.user_id))
            .where(owners.c.agent == agent, owners.c.configure_user_id == configure_user_id)
        ).one_or_none()
        return None if found is None else (found.user_id, found.version)

    @reading
    def find(self, connection: Connection, agent: str, user_id: str) -> tuple[StoredAccount, ...]:
        return _of(connection, agent, user_id)

    @reading
    def page(
        self, connection: Connection, agent: str, *, after: tuple[str, str] | None, limit: int
    ) -> tuple[StoredAccount, ...]:
        place = (accounts.c.user_id, accounts.c.kind)
        mine = select(accounts).where(accounts.c.agent == agent).order_by(*place)
        if after is not None:
            mine = mine.where(tuple_(*place) > after)
        return tuple(map(_account, connection.execute(mine.limit(limit))))

    @transaction
    def save(
        self,
        connection: Connection,
        account: StoredAccount,
        *,
        version: int | None,
        replace: bool = False,
        move_from: str | None = None,
    ) -> Saved:
        agent, user_id, identity = account.agent, account.user_id, account.configure_user_id
        if version is None:
            _version(connection, agent, user_id)
        # Locked until the commit: an unlink, or a second save for this user, waits or comes first.
        held = select(users.c.version).where(users.c.agent == agent, users.c.user_id == user_id).with_for_update()
        present_version = connection.execute(held).scalar_one_or_none()
        if present_version is None or version not in (None, present_version):
            return Saved("stale")
        owner = _owner(connection, agent, identity)
        if owner not in (None, user_id, move_from):
            return Saved("taken", owner=owner)
        present = _of(connection, agent, user_id)
        others = tuple(a for a in present if a.configure_user_id != identity)
        if others and not replace:
            return Saved("connected")
        unlinked: tuple[StoredAccount, ...] = ()
        if owner is not None and owner != user_id:
            unlinked = _unlink(connection, agent, owner, identity)
        for other in others:
            _delete(connection, other)
        if owner != user_id:
            connection.execute(insert(owners).values(agent=agent, configure_user_id=identity, user_id=user_id))
        for same in present:
            if (same.kind, same.configure_user_id) == (account.kind, identity):
                _delete(connection, same, keep_owner=True)
        _insert(connection, account)
        return Saved("saved", unlinked=unlinked + others)

    @transaction
    def update(self, connection: Connection, account: StoredAccount, *, serial: str) -> bool:
        changed = connection.execute(
            update(accounts).where(_row(account), accounts.c.serial == serial).values(**_columns(account))
        )
        return changed.rowcount == 1

    @transaction
    def unlink(self, connection: Connection, agent: str, user_id: str) -> tuple[StoredAccount, ...]:
        return _unlink(connection, agent, user_id, None)

    @transaction
    def forget(self, connection: Connection, agent: str, user_id: str) -> tuple[StoredAccount, ...]:
        gone = _unlink(connection, agent, user_id, None)
        connection.execute(delete(users).where(users.c.agent == agent, users.c.user_id == user_id))
        return gone


class SqlLeases(SqlStore):
    @transaction
    def acquire(self, connection: Connection, name: str, *, owner: str, until: float, now: float) -> bool:
        # Those of workers that were killed go along.
        over = select(leases.c.name).where(leases.c.until <= now).with_for_update(skip_locked=True)
        connection.execute(delete(leases).where(leases.c.name.in_(over)))
        if connection.execute(select(leases.c.name).where(leases.c.name == name)).first() is not None:
            return False
        connection.execute(insert(leases).values(name=name, owner=owner, until=until))
        return True

    @transaction
    def release(self, connection: Connection, name: str, *, owner: str) -> None:
        connection.execute(delete(leases).where(leases.c.name == name, leases.c.owner == owner))


class SqlParameters(SqlStore):
    @reading
    def read(self, connection: Connection, name: str) -> str | None:
        return _parameter(connection, name)

    @transaction
    def keep(self, connection: Connection, name: str, value: str) -> str:
        found = _parameter(connection, name)
        if found is None:
            connection.execute(insert(parameters).values(name=name, value=value))
        return value if found is None else found

    @transaction
    def replace(self, connection: Connection, name: str, *, old: str, new: str) -> bool:
        changed = connection.execute(
            update(parameters).where(parameters.c.name == name, parameters.c.value == old).values(value=new)
        )
        return changed.rowcount == 1

    @transaction
    def remove(self, connection: Connection, name: str) -> None:
        connection.execute(delete(parameters).where(parameters.c.name == name))


def _parameter(connection: Connection, name: str) -> str | None:
    return connection.execute(select(parameters.c.value).where(parameters.c.name == name)).scalar_one_or_none()


def sql_stores(database: AnyDatabase) -> Stores:
    """The stores in one database. On a `ThreadedDatabase` or an `AsyncDatabase` each method is awaited."""
    return Stores(
        SqlStates(database),
        SqlAccounts(database),
        SqlLeases(database),
        SqlJourneys(database),
        SqlAgents(database),
        SqlParameters(database),
        close=database.close,
    )


def _mine(state_hash: str, browser_hash: str, intent: Intent, agent: str) -> Any:
    return and_(
        states.c.state_hash == state_hash,
        states.c.browser_hash == browser_hash,
        states.c.intent == intent,
        states.c.agent == agent,
    )


def _sweep(connection: Connection, now: float, limit: int) -> int:
    """Delete attempts that have ended, so many at most; how many it were."""
    # What another transaction deletes already is left to it: to wait for it would be to wait for nothing.
    ended = select(states.c.state_hash).where(states.c.expires_at <= now - LINGER).limit(limit)
    return connection.execute(
        delete(states).where(states.c.state_hash.in_(ended.with_for_update(skip_locked=True)))
    ).rowcount


def _play_out(connection: Connection, now: float, limit: int | None) -> None:
    """Wipe the replays that are over, so many at most."""
    played = select(states.c.state_hash).where(states.c.replay_until <= now).limit(limit)
    connection.execute(
        update(states)
        .where(states.c.state_hash.in_(played.with_for_update(skip_locked=True)))
        .values(replay=None, replay_until=None)
    )


def _record(row: Row[Any]) -> PendingSignIn:
    return PendingSignIn(**{name: value for name, value in row._mapping.items() if name != "replay_until"})


def _version(connection: Connection, agent: str, user_id: str) -> int:
    mine = and_(users.c.agent == agent, users.c.user_id == user_id)
    version = connection.execute(select(users.c.version).where(mine)).scalar_one_or_none()
    if version is None:
        version = secrets.randbits(62)
        connection.execute(insert(users).values(agent=agent, user_id=user_id, version=version))
    return version


def _owner(connection: Connection, agent: str, configure_user_id: str) -> str | None:
    found = select(owners.c.user_id).where(owners.c.agent == agent, owners.c.configure_user_id == configure_user_id)
    return connection.execute(found).scalar_one_or_none()


def _of(connection: Connection, agent: str, user_id: str) -> tuple[StoredAccount, ...]:
    rows = connection.execute(
        select(accounts).where(accounts.c.agent == agent, accounts.c.user_id == user_id).order_by(accounts.c.kind)
    )
    return tuple(map(_account, rows))


def _account(row: Row[Any]) -> StoredAccount:
    return StoredAccount(**{**row._mapping, "scopes": tuple(row.scopes.split())})


def _row(account: StoredAccount) -> Any:
    return and_(
        accounts.c.agent == account.agent, accounts.c.kind == account.kind, accounts.c.user_id == account.user_id
    )


def _columns(account: StoredAccount) -> dict[str, Any]:
    values = {f.name: getattr(account, f.name) for f in fields(account)}
    return {**values, "scopes": " ".join(account.scopes)}


def _insert(connection: Connection, account: StoredAccount) -> None:
    connection.execute(insert(accounts).values(**_columns(replace(account, serial=secrets.token_hex(8)))))


def _delete(connection: Connection, account: StoredAccount, *, keep_owner: bool = False) -> None:
    connection.execute(delete(accounts).where(_row(account)))
    left = select(accounts.c.kind).where(
        accounts.c.agent == account.agent, accounts.c.configure_user_id == account.configure_user_id
    )
    if not keep_owner and connection.execute(left).first() is None:
        connection.execute(
            delete(owners).where(
                owners.c.agent == account.agent, owners.c.configure_user_id == account.configure_user_id
            )
        )


def _unlink(
    connection: Connection, agent: str, user_id: str, configure_user_id: str | None
) -> tuple[StoredAccount, ...]:
    # The version first: it's the row that a save in flight holds or waits for.
    connection.execute(
        update(users).where(users.c.agent == agent, users.c.user_id == user_id).values(version=secrets.randbits(62))
    )
    gone = tuple(a for a in _of(connection, agent, user_id) if configure_user_id in (None, a.configure_user_id))
    for account in gone:
        _delete(connection, account)
    return gone
