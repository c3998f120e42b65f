"""The journeys of message senders and their links, in SQL."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, and_, delete, insert, select, update

from ..values import Journey
from . import Completed, StoredSubject
from .schema import journeys, subjects
from .statements import PURGE, SWEEP, SqlStore, reading, transaction

__all__ = ["SqlJourneys"]


class SqlJourneys(SqlStore):
    @transaction
    def put(self, connection: Connection, journey: Journey, *, limit: int, now: float) -> None:
        _sweep(connection, now, SWEEP)
        mine = and_(
            journeys.c.agent == journey.agent,
            journeys.c.subject == journey.subject,
            journeys.c.token_hash.is_(None),
        )
        newest_first = select(journeys.c.journey_hash).where(mine).order_by(journeys.c.created_at.desc())
        surplus = connection.execute(newest_first.offset(limit - 1)).scalars().all()
        if surplus:
            connection.execute(
                delete(journeys).where(journeys.c.journey_hash.in_(surplus), journeys.c.token_hash.is_(None))
            )
        connection.execute(insert(journeys).values(**asdict(journey)))

    @reading
    def read(self, connection: Connection, journey_hash: str, *, agent: str, now: float) -> Journey | None:
        row = connection.execute(select(journeys).where(_present(journey_hash, agent, now))).one_or_none()
        return None if row is None else Journey(**row._mapping)

    @transaction
    def attempt(self, connection: Connection, journey_hash: str, *, agent: str, limit: int, now: float) -> bool:
        counted = connection.execute(
            update(journeys)
            .where(_present(journey_hash, agent, now), journeys.c.token_hash.is_(None), journeys.c.tries < limit)
            .values(tries=journeys.c.tries + 1)
        )
        return counted.rowcount == 1

    @transaction
    def complete(
        self, connection: Connection, journey_hash: str, *, link: StoredSubject, token_hash: str, now: float
    ) -> Completed:
        mine = and_(_present(journey_hash, link.agent, now), journeys.c.subject == link.subject)
        # Locked until the commit: of many completions one is first, and the others see what it did.
        found = select(journeys.c.token_hash).where(mine).with_for_update()
        row = connection.execute(found).one_or_none()
        if row is None:
            return "over"
        if row.token_hash is not None:
            return "repeated" if row.token_hash == token_hash else "over"
        sender = _sender(link.agent, link.subject)
        present = connection.execute(
            select(subjects.c.configure_user_id).where(sender).with_for_update()
        ).scalar_one_or_none()
        if present not in (None, "", link.configure_user_id):
            return "taken"
        connection.execute(update(journeys).where(mine).values(token_hash=token_hash, sender=None))
        if present is None:
            connection.execute(insert(subjects).values(**asdict(link)))
        else:
            connection.execute(update(subjects).where(sender).values(**asdict(link)))
        return "linked"

    @reading
    def find(self, connection: Connection, agent: str, subject: str) -> StoredSubject | None:
        return _find(connection, agent, subject)

    @transaction
    def save(self, connection: Connection, link: StoredSubject, *, serial: str | None) -> bool:
        if serial is not None:
            same = and_(_sender(link.agent, link.subject), subjects.c.serial == serial)
            return connection.execute(update(subjects).where(same).values(**asdict(link))).rowcount == 1
        if _find(connection, link.agent, link.subject) is not None:
            return False
        connection.execute(insert(subjects).values(**asdict(link)))
        return True

    @transaction
    def remove(self, connection: Connection, agent: str, subject: str, *, serial: str) -> bool:
        same = and_(_sender(agent, subject), subjects.c.serial == serial)
        return connection.execute(delete(subjects).where(same)).rowcount == 1

    @transaction
    def unlink(self, connection: Connection, wish: StoredSubject) -> StoredSubject | None:
        present = _forget(connection, wish.agent, wish.subject)
        connection.execute(insert(subjects).values(**asdict(wish)))
        return present

    @transaction
    def forget(self, connection: Connection, agent: str, subject: str) -> StoredSubject | None:
        return _forget(connection, agent, subject)

    @reading
    def page(self, connection: Connection, agent: str, *, after: str | None, limit: int) -> tuple[StoredSubject, ...]:
        mine = select(subjects).where(subjects.c.agent == agent).order_by(subjects.c.subject)
        if after is not None:
            mine = mine.where(subjects.c.subject > after)
        return tuple(StoredSubject(**row._mapping) for row in connection.execute(mine.limit(limit)))

    @transaction
    def purge(self, connection: Connection, *, now: float) -> int:
        return _sweep(connection, now, PURGE)


def _present(journey_hash: str, agent: str, now: float) -> Any:
    return and_(journeys.c.journey_hash == journey_hash, journeys.c.agent == agent, journeys.c.expires_at > now)


def _sender(agent: str, subject: str) -> Any:
    return and_(subjects.c.agent == agent, subjects.c.subject == subject)


def _find(connection: Connection, agent: str, subject: str) -> StoredSubject | None:
    row = connection.execute(select(subjects).where(_sender(agent, subject))).one_or_none()
    return None if row is None else StoredSubject(**row._mapping)


def _forget(connection: Connection, agent: str, subject: str) -> StoredSubject | None:
    # The journeys first: a completion on its way holds the one that it uses, and its link is here when it's done.
    connection.execute(delete(journeys).where(journeys.c.agent == agent, journeys.c.subject == subject))
    gone = _find(connection, agent, subject)
    connection.execute(delete(subjects).where(_sender(agent, subject)))
    return gone


def _sweep(connection: Connection, now: float, limit: int) -> int:
    ended = select(journeys.c.journey_hash).where(journeys.c.expires_at <= now).limit(limit)
    return connection.execute(
        delete(journeys).where(journeys.c.journey_hash.in_(ended.with_for_update(skip_locked=True)))
    ).rowcount
